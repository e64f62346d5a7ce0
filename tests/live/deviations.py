"""Where a host cannot do what a test asks: by its features, never by its name or version. The one list of them.

A test that is not named here is expected to pass on every host. One that is named fails on a host that lacks the
feature, for the reason given, and not because of the extension.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Deviation:
    """Tests that need a feature, how it is found in the folder of a host, and what happens without it.

    A test is named with its parameters or, for all of them, without; `*` stands for any text.
    """

    feature: str
    is_there: Callable[[Path], bool]
    tests: tuple[str, ...]
    without: str


def says(file: str, pattern: str) -> Callable[[Path], bool]:
    """Whether a source file of the host has a line that matches."""
    found = re.compile(pattern, re.MULTILINE).search
    return lambda home: (home / file).is_file() and found((home / file).read_text("utf-8")) is not None


def says_not(file: str, pattern: str) -> Callable[[Path], bool]:
    """Whether it has none."""
    return lambda home: not says(file, pattern)(home)


@dataclass(frozen=True)
class Need:
    """What the extension cannot do without: how it is found in the folder of a host, and how it is named if missing."""

    is_there: Callable[[Path], bool]
    words: str


NEEDS = (
    Need(
        says_not("modules/script_callbacks.py", r"total_sampling_steps, text_cond, text_uncond\):"),
        "the denoiser in that callback (CFGDenoiserParams.denoiser)",
    ),
)

MEMORY_MANAGEMENT = ("backend/memory_management.py", "ldm_patched/modules/model_management.py")
LESS_PRECISE = (
    *("--precision half", "--precision half --medvram", "casts by hand"),
    *("--upcast-sampling --no-half-vae", "fp8 storage, bf16"),
)
"""How test_live_precision starts a host."""

DEVIATIONS = (
    Deviation(
        "reads infotext through its API",
        says_not("modules/api/api.py", r"get_base_type\(request\.__fields__"),
        (
            "test_infotext_brings_back_settings_and_picture",
            "test_infotext_without_us_switches_us_off",
        ),
        "the host answers any infotext with a TypeError of its own: it compares a value with list[str]",
    ),
    Deviation(
        "hands over the noise before sampling begins",
        says("modules/scripts.py", "def process_before_every_sampling"),
        (
            "test_alignment_makes_tiles_alike_and_zero_changes_no_pixel",
            "test_an_aligned_picture_can_be_made_again_alone_or_in_a_batch",
            "test_the_reference_may_be_a_picture",
            "test_pictures_are_those_of_full_precision[*-alignment]",
        ),
        "style alignment is refused: it needs that noise",
    ),
    Deviation(
        "computes in half precision throughout",
        says_not("modules/cmd_args.py", r'"--precision".*choices=\["full", "autocast"\]'),
        ("test_pictures_are_those_of_full_precision[--precision half*]",),
        "its flag --precision knows only full and autocast, and it does not start with half",
    ),
    Deviation(
        "lets the attention be chosen in its settings",
        says("modules/shared_options.py", r'^\s*"cross_attention_optimization"'),
        ("test_regions_do_not_mind_which_attention_the_host_has_chosen",),
        "the attention is chosen by a flag at the start, and there is no such setting to change",
    ),
    Deviation(
        "has schedulers beside samplers",
        says("modules/api/api.py", "sdapi/v1/schedulers"),
        ("test_every_schedule_of_the_host_makes_a_tiled_picture",),
        "the schedule belongs to the sampler",
    ),
    Deviation(
        "can ask with conditions one by one",
        says("modules/shared_options.py", r'^\s*"batch_cond_uncond"'),
        (
            "test_conditions_one_by_one_share_one_plan",
            "test_a_region_over_everything_is_its_prompt_under_every_option_of_the_host[batch_cond_uncond]",
        ),
        "there is no such setting",
    ),
    Deviation(
        "can leave out negative rows in its first steps",
        says("modules/shared_options.py", r"""^\s*["']skip_early_cond["']"""),
        (
            "test_skipped_unconditional_passes[skip_early_cond]",
            "test_a_region_over_everything_is_its_prompt_under_every_option_of_the_host[skip_early_cond]",
        ),
        "there is no such setting, and it refuses the request",
    ),
    Deviation(
        "can leave out negative rows in every step",
        says("modules/shared_options.py", r'^\s*"s_min_uncond_all"'),
        ("test_a_region_over_everything_is_its_prompt_under_every_option_of_the_host[s_min_uncond_all]",),
        "there is no such setting, only s_min_uncond for every other step",
    ),
    Deviation(
        "can pad prompts to one length",
        says("modules/shared_options.py", r'^\s*"pad_cond_uncond"'),
        ("test_regions_need_no_padding_by_the_host",),
        "there is no such setting",
    ),
    Deviation(
        "computes in half precision on a processor",
        lambda home: not any(says(file, r"^\s*if is_device_cpu\(")(home) for file in MEMORY_MANAGEMENT),
        tuple(f"test_pictures_are_those_of_full_precision[{start}-*]" for start in LESS_PRECISE),
        "it takes full precision there, whatever its flags say",
    ),
    Deviation(
        "shows on its page what stopped a generation",
        lambda home: (
            not (home / "modules_forge" / "main_thread.py").is_file()
            or says("modules_forge/main_thread.py", r"self\.exception = ")(home)
        ),
        ("test_the_page_shows_why_a_setting_is_refused",),
        "the thread that generates prints the message and drops it: the page says that None is not iterable",
    ),
    Deviation(
        "has negative rows in its first step",
        says_not(
            "modules/sd_samplers_cfg_denoiser.py", r"0\.0 <= self\.step / self\.total_steps <= opts\.skip_early_cond"
        ),
        (
            "test_tiles_at_once_go_through_the_unet_in_one_batch",
            "test_each_picture_of_a_batch_keeps_its_own_main_prompt",
            "test_the_hires_pass_keeps_the_regions",
        ),
        "the first step is without CFG whatever the setting says: of two steps, half are, and prompts show too little",
    ),
)


def missing_need(home: Path) -> str | None:
    """What keeps the extension from working on this host at all, in its own words; None where nothing does."""
    return next((need.words for need in NEEDS if not need.is_there(home)), None)


def why_not_expected(test: str, home: Path) -> str | None:
    """Why a test cannot pass on this host; None if it is expected to."""
    return next((one.without for one in DEVIATIONS if _names(one.tests, test) and not one.is_there(home)), None)


def _names(patterns: tuple[str, ...], test: str) -> bool:
    names = {test, test.partition("[")[0]}
    return any(re.fullmatch(re.escape(one).replace(r"\*", ".*"), name) for one in patterns for name in names)
