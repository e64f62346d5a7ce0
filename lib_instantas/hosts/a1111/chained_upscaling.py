"""Upscaling in txt2img: each finished picture, hires pass included, is given to an img2img job of its own.

The host hands its pictures over before any script sees them one by one. So a face detailer, which works on single
pictures, gets the enlarged one: first pass, hires pass, upscaling and detailing are one generation.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from modules import extra_networks, paths, processing, shared
from PIL import Image
from torch import Tensor

from lib_instantas.errors import told
from lib_instantas.hosts.a1111.generation import Generation, generation_of
from lib_instantas.hosts.a1111.language import here, is_asked_by_the_api
from lib_instantas.hosts.a1111.report import FIRST_PASS, INVERSION, UPSCALING, Enlarging
from lib_instantas.hosts.a1111.sizes import cropped, slack_of
from lib_instantas.hosts.a1111.upscaling import STRENGTH, upscales_afterwards
from lib_instantas.regions import Region
from lib_instantas.regions_json import setup_to_text
from lib_instantas.settings import Settings
from lib_instantas.texts import messages

logger = logging.getLogger(__name__)

ALIKE = (
    *("sd_model", "outpath_samples", "outpath_grids", "steps", "cfg_scale", "sampler_name", "scheduler", "tiling"),
    *("distilled_cfg_scale", "subseed_strength", "seed_resize_from_h", "seed_resize_from_w"),
)
"""What the job has in common with the one whose picture it is given, as far as the host knows it."""

STOPPED = "upscale_by had no effect: it was stopped"
"""What the metadata say of a picture that stayed as it was."""

LAST_GENERATION = "params.txt"
"""Where the host keeps the parameters of what was made last, for the page to read back."""


def upscaled_afterwards(
    p: Any, generation: Generation, script: Any, pictures: Sequence[Tensor], batch: int
) -> Sequence[Tensor]:
    """The pictures of a batch [3, H, W] in 0..1, enlarged.

    A picture whose enlarging is interrupted, skipped or fails stays as it was, whole, and the metadata say why. After
    "Skip" the next one is enlarged; what was skipped or interrupted before it was finished is not begun.
    """
    if not upscales_afterwards(p, generation.settings):
        return pictures
    first, enlarged = batch * p.batch_size, []
    for index, pixels in enumerate(pictures, first):
        large, done = pixels, Enlarging(remark=STOPPED)
        if not _is_stopped():
            shared.state.job_count += 1
            try:
                with _last_generation_kept(), _finished_before_a_stop():
                    large, done = _upscaled(p, generation, script, pixels, index)
            except Exception as error:
                logger.exception("InstantAS: the picture could not be upscaled")
                done = Enlarging(remark=f"upscale_by had no effect: {error}")
                _comment(p, error)
            if shared.state.skipped:  # that one alone
                shared.state.skipped = False
        generation.report.enlarged[index] = done
        enlarged.append(large)
    return enlarged


def _upscaled(p: Any, generation: Generation, script: Any, pixels: Tensor, index: int) -> tuple[Tensor, Enlarging]:
    size, closed = generation.exact_size(p), generation.settings.wraps_per_axis
    job = _job(p, generation, script, cropped(_picture(pixels), size, slack_of(p), closed), index)
    made = processing.process_images(job)
    if _is_stopped() or not made.images:
        return pixels, Enlarging(remark=STOPPED)
    inner = generation_of(job)
    passes = {} if inner is None else inner.report.passes
    names = {INVERSION: f"{UPSCALING}, {INVERSION}", FIRST_PASS: UPSCALING}
    done = Enlarging({said: passes[name] for name, said in names.items() if name in passes})
    return _pixels(made.images[made.index_of_first_image]), done


def _is_stopped() -> bool:
    return bool(shared.state.interrupted or shared.state.skipped)


@contextmanager
def _finished_before_a_stop() -> Iterator[None]:
    """Whoever asks for a stop after this picture, on a host that can, gets it enlarged."""
    before = getattr(shared.state, "stopping_generation", False)
    if not before:
        yield
        return
    shared.state.stopping_generation = False
    try:
        yield
    finally:
        shared.state.stopping_generation = True


def _comment(p: Any, error: Exception) -> None:
    """Say below the pictures why one was not enlarged."""
    if hasattr(p, "comment"):
        why = messages.NOT_ENLARGED(reason=told(error))
        p.comment(why if is_asked_by_the_api(p) else here(why))


def _job(p: Any, generation: Generation, script: Any, picture: Image.Image, index: int) -> Any:
    """img2img of one picture, with its own prompt and seed; of the scripts only this one takes part."""
    kind = processing.StableDiffusionProcessingImg2Img
    known = {one.name for one in fields(kind)}
    alike = {name: getattr(p, name) for name in ALIKE if name in known and hasattr(p, name)}
    job = kind(
        **alike,
        init_images=[picture],
        width=picture.width,
        height=picture.height,
        resize_mode=0,
        denoising_strength=STRENGTH,
        prompt=p.all_prompts[index],
        negative_prompt=p.all_negative_prompts[index],
        seed=p.all_seeds[index],
        subseed=p.all_subseeds[index],
        batch_size=1,
        n_iter=1,
        do_not_save_samples=True,
        do_not_save_grid=True,
    )
    job.scripts = copy(p.scripts)
    job.scripts.alwayson_scripts = [script]
    given = generation.settings if generation.travelling is None else generation.travelling.of_picture(index)
    settings = {**_styled(given, p.styles or []).dict(), "width": 0, "height": 0}
    others = [None] * (script.args_to - script.args_from - 1)
    job.script_args = (*p.script_args[: script.args_from], settings, *others, *p.script_args[script.args_to :])
    return job


def _styled(settings: Settings, styles: Sequence[str]) -> Settings:
    """With the styles in the regions' prompts: that of the picture has them already, and the job has none."""
    setup = settings.region_setup
    regions = tuple(_region_styled(region, styles) for region in setup.regions)
    return settings.copy(update={"regions": setup_to_text(replace(setup, regions=regions))}) if styles else settings


def _region_styled(region: Region, styles: Sequence[str]) -> Region:
    def styled(text: str, apply: Any) -> str:
        return str(extra_networks.parse_prompt(apply(text, styles))[0]) if text else text

    known = shared.prompt_styles
    prompt = styled(region.prompt, known.apply_styles_to_prompt)
    return replace(
        region, prompt=prompt, negative_prompt=styled(region.negative_prompt, known.apply_negative_styles_to_prompt)
    )


@contextmanager
def _last_generation_kept() -> Iterator[None]:
    """The page's "read the last generation" reads this one, not a job within it."""
    file = Path(paths.data_path, LAST_GENERATION)
    before = file.read_bytes() if file.exists() else None
    try:
        yield
    finally:
        if before is not None:
            file.write_bytes(before)


def _picture(pixels: Tensor) -> Image.Image:
    """Pixels [3, H, W] in 0..1 as the host itself rounds them."""
    return Image.fromarray((255.0 * pixels.float().cpu().numpy()).astype(np.uint8).transpose(1, 2, 0))


def _pixels(picture: Image.Image) -> Tensor:
    """The same back. Half a level more, since the host rounds down when it makes a picture of them again."""
    levels = np.asarray(picture.convert("RGB"), dtype=np.float32).transpose(2, 0, 1)
    return torch.from_numpy(np.minimum(levels + 0.5, 255.0) / 255.0)
