"""The extension in a generation of the host, from settings to metadata."""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest
import torch
from metadata import done
from modules import shared
from modules.processing import process_images
from modules.sd_samplers_cfg_denoiser import CFGDenoiser, Wrapper

from lib_instantas.settings import SettingsError

ON = {"enabled": True, "tile_batch": 1, "fit": "fitted", "edges": "elastic"}  # calls are counted: one a tile
TILES = "8 tiles of 128x128"  # 512x256 pixels are 64x32 latents: four by two tiles of 16x16
LARGEST = 24  # 1.25 times 16, rounded up to a multiple of 8
LARGEST_WITH_CONTEXT = 32  # 20 and 4 to each side, rounded up: in the last of three evaluations


def test_the_model_sees_only_tiles_of_the_size_it_knows(make: Any, model: Any) -> None:
    processed = process_images(make(ON))
    assert all(8 <= side <= LARGEST for shape in model.inputs[:16] for side in shape[-2:])
    assert all(8 <= side <= LARGEST_WITH_CONTEXT for shape in model.inputs[16:] for side in shape[-2:])
    assert len(model.inputs) == 8 * 3
    assert done(processed.infotexts[0]) == f"{TILES}, 24 UNet evaluations"


@pytest.mark.parametrize("settings", [None, {"enabled": False, "gamma": 0.5}])
def test_switched_off_changes_nothing(make: Any, model: Any, settings: Any) -> None:
    off = process_images(make(settings))
    bare = make()
    bare.scripts.alwayson_scripts = []
    without = process_images(bare)
    assert torch.equal(off.latents[0], without.latents[0])
    assert off.infotexts == without.infotexts


def test_direct_and_a_picture_of_one_tile_are_the_hosts_own(make: Any) -> None:
    direct = process_images(make({"enabled": True, "method": "direct"}))
    assert torch.equal(direct.latents[0], process_images(make()).latents[0])
    small = process_images(make(ON, width=128, height=120))
    assert torch.equal(small.latents[0], process_images(make(width=128, height=120)).latents[0])
    assert done(small.infotexts[0]) == "off: the image fits one tile"


def test_a_batch_equals_single_pictures(make: Any) -> None:
    for is_img2img in (False, True):
        settings = {"enabled": True, "schedule": "random"}
        batch = process_images(make(settings, n_iter=3, is_img2img=is_img2img))
        singles = [process_images(make(settings, seed=5 + i, is_img2img=is_img2img)) for i in range(3)]
        assert all(torch.equal(a, b.latents[0]) for a, b in zip(batch.latents, singles, strict=True))


@pytest.mark.parametrize("schedule", ["golden", "cyclic", "random"])
@pytest.mark.parametrize("in_one_call", [True, False])
def test_pictures_made_at_once_equal_single_pictures(
    make: Any, monkeypatch: pytest.MonkeyPatch, schedule: str, in_one_call: bool
) -> None:
    monkeypatch.setitem(shared.opts.data, "batch_cond_uncond", in_one_call)
    settings = {"enabled": True, "schedule": schedule}
    at_once = process_images(make(settings, batch_size=3))
    singles = [process_images(make(settings, seed=5 + i)) for i in range(3)]
    assert all(torch.allclose(a, b.latents[0], atol=1e-4) for a, b in zip(at_once.latents, singles, strict=True))


def test_each_row_goes_to_the_tiles_of_its_own_picture(make: Any, model: Any) -> None:
    """Two prompts joined by AND for each of three pictures, whose random tiles stand in three places."""
    process_images(make({**ON, "schedule": "random"}, batch_size=3, conditions=2))
    assert {shape[0] for shape in model.inputs} == {3}  # two conditional rows and an unconditional one of a picture
    assert len(model.inputs) == 3 * 8 * 3


def test_conditions_one_by_one_share_one_plan(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    together = process_images(make(ON))
    monkeypatch.setitem(shared.opts.data, "batch_cond_uncond", False)
    apart = process_images(make(ON))
    assert torch.allclose(together.latents[0], apart.latents[0], atol=1e-5)
    assert together.infotexts == apart.infotexts


def test_what_lies_on_the_canvas_is_cut_with_the_tiles(make: Any) -> None:
    left_only = torch.zeros(1, 5, 32, 64)
    left_only[..., :32] = 1
    plain, conditioned = (
        process_images(
            make({"enabled": True, "schedule": "cyclic", "gamma": 0, "fit": "native"}, image_cond=cond)
        ).latents[0]
        for cond in (torch.zeros(1, 5, 32, 64), left_only)
    )
    assert torch.equal(plain[..., 32:], conditioned[..., 32:])
    assert not torch.allclose(plain[..., :32], conditioned[..., :32])


def test_both_passes_of_hires_fix_are_tiled_and_told_apart(make: Any) -> None:
    processed = process_images(make(ON, enable_hr=True, hr_scale=2.0))
    assert done(processed.infotexts[0]) == (
        f"first pass: {TILES}, 24 UNet evaluations; hires pass: 32 tiles of 128x128, 96 UNet evaluations"
    )


def test_a_refiner_goes_on_where_the_first_model_stopped(make: Any, model: Any) -> None:
    refiner = type(model)(strength=0.1)
    processed = process_images(make(ON, refiner=refiner, refiner_step=2))
    assert len(model.inputs) == 16
    assert len(refiner.inputs) == 8
    assert all(8 <= side <= LARGEST_WITH_CONTEXT for shape in refiner.inputs for side in shape[-2:])
    assert done(processed.infotexts[0]) == f"{TILES}, 24 UNet evaluations"


@pytest.mark.parametrize("flag", ["interrupted", "skipped"])
def test_interrupt_and_skip_are_read_between_tile_batches(make: Any, model: Any, flag: str) -> None:
    model.before_call = lambda count: setattr(shared.state, flag, count >= 11)
    process_images(make(ON))
    assert len(model.inputs) == 11


def test_only_the_wrapper_of_this_one_sampler_is_touched(make: Any, model: Any) -> None:
    touched = vars(Wrapper).copy(), vars(CFGDenoiser).copy(), vars(model).copy()
    p = make(ON)
    process_images(p)
    assert "forward" in vars(p.denoiser.inner_model)
    assert (vars(Wrapper), vars(CFGDenoiser), vars(model)) == touched


def test_a_failure_of_the_model_reaches_the_person(make: Any, model: Any) -> None:
    def fail(count: int) -> None:
        raise RuntimeError("the UNet failed")

    before = process_images(make(ON)).latents[0]
    model.before_call = fail
    with pytest.raises(RuntimeError, match="the UNet failed"):
        process_images(make(ON))
    model.before_call = lambda count: None
    assert torch.equal(before, process_images(make(ON)).latents[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"enabled": True, "gama": 1}, "unknown setting 'gama'"),
        ({"enabled": True, "gamma": 2}, "gamma must be between 0 and 1, got 2"),
        ([True, "Nonsense"], "method must be one of"),
        ([True, *[None] * 40], "args must be at most"),
    ],
)
def test_a_bad_setting_stops_the_generation_by_name(make: Any, model: Any, settings: Any, message: str) -> None:
    p = make(settings)
    p.scripts.alwayson_scripts[0].args_to = len(p.script_args)
    with pytest.raises(SettingsError, match=r"^InstantAS: ") as error:
        process_images(p)
    assert message in str(error.value)
    assert vars(error.value)["status_code"] == 422
    assert model.inputs == []


def test_a_plan_that_fails_stops_the_generation(make: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: Any) -> Any:
        raise ValueError("no plan")

    monkeypatch.setattr("lib_instantas.hosts.a1111.sampling.make_method", fail)
    with pytest.raises(ValueError, match="no plan"):
        process_images(make(ON))


@pytest.mark.parametrize(("width", "height"), [(1209, 523), (100, 65), (64, 1001)])
def test_pictures_have_their_own_size_to_the_pixel(make: Any, width: int, height: int) -> None:
    processed = process_images(make({"enabled": True, "width": width, "height": height}, steps=1))
    assert processed.images[0].size == (width, height)
    assert (processed.width, processed.height) == (width, height)
    assert f"Size: {width}x{height}" in processed.infotexts[0]


def test_the_crop_is_central(make: Any) -> None:
    whole = process_images(make(ON, width=512, height=256)).images[0]
    part = process_images(make({**ON, "width": 506, "height": 250})).images[0]
    assert part.tobytes() == whole.crop((3, 3, 509, 253)).tobytes()


def test_hires_fix_multiplies_an_exact_size(make: Any) -> None:
    own = {"enabled": True, "width": 121, "height": 67}
    assert process_images(make(own, enable_hr=True, hr_scale=2.0)).images[0].size == (242, 134)
    with_target = make(own, enable_hr=True, hr_scale=2.0, hr_resize_x=256, hr_resize_y=144)
    assert process_images(with_target).images[0].size == (256, 144)


def test_a_server_may_limit_the_size(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.cmd_opts, "instantas_max_side", 1024, raising=False)
    with pytest.raises(SettingsError, match="width must be at most 1024 on this server, got 1025"):
        process_images(make({"enabled": True, "width": 1025}))


def test_beginning_the_same_generation_again_on_a_copy_changes_nothing(make: Any) -> None:
    """Other extensions begin and end a generation early, on a shallow copy that shares its metadata."""
    p = make(ON)
    p.all_seeds = p.seeds = [5]
    p.scripts.call("process", p)
    p.sample()
    before = p.extra_generation_params["InstantAS"]
    again = copy(p)
    p.scripts.call("process", again)
    p.scripts.call("postprocess", again, type("Processed", (), {}))
    assert p.extra_generation_params["InstantAS"] == before
    assert "24 UNet evaluations" in before


def test_pictures_that_share_their_metadata_do_not_share_what_was_done(make: Any) -> None:
    """An X/Y/Z plot copies one processing object for all its cells."""
    shared_metadata: dict[str, Any] = {}
    own = {"enabled": True, "width": 506, "height": 250}
    process_images(make(own, extra_generation_params=shared_metadata))
    off = process_images(make({"enabled": False}, extra_generation_params=shared_metadata))
    assert off.infotexts == process_images(make()).infotexts
    smaller = process_images(make({"enabled": True, "method": "direct"}, extra_generation_params=shared_metadata))
    assert "1 tile of 512x256, 3 UNet evaluations" in smaller.infotexts[0]
