"""Tiled pictures in every way the host can make one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from client import Client, Made, RefusedError, difference, encoded, same
from infotexts import done
from PIL import Image

ON = {"enabled": True}
SIX_TILES = "6 tiles of 128x128, "
SAMPLERS_THAT_SHRINK = {"DPM++ 2S Ancestral CFG++ Intern"}
"""They make the picture smaller than one tile before they end at its size."""

ROUNDING = 1.0
"""Grey levels of 255 by which two ways to compute the same picture may differ on average."""


def checkpoint(name: str, **options: Any) -> dict[str, Any]:
    """Request fields that choose a checkpoint and other host options for one request.

    WebUIs before 1.10 read `s_min_uncond` before they set a request's options: it is a field of its own there.
    """
    early = {key: value for key, value in options.items() if key == "s_min_uncond"}
    return {"override_settings": {"sd_model_checkpoint": f"{name}.safetensors", **options}, **early}


def colours(size: tuple[int, int] = (320, 192)) -> Image.Image:
    """A smooth picture of many colours."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def mask_of_middle(size: tuple[int, int] = (320, 192)) -> str:
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[40:150, 60:240] = 255
    return encoded(Image.fromarray(mask))


@pytest.mark.timeout(2400)  # hosts of the Forge family have forty samplers and more
def test_every_sampler_of_the_host_makes_a_tiled_picture(client: Client) -> None:
    failed = {}
    for sampler in client.get("/sdapi/v1/samplers"):
        # UniPC is of order 3, and DPM adaptive takes as many steps as it likes: only two tiles.
        made = client.txt2img(ON, sampler_name=sampler["name"], steps=4, width=256, height=128)
        if not done(made).startswith("2 tiles of 128x128") or made.pixels.std() < 1:
            failed[sampler["name"]] = done(made)
    # Some samplers leave nothing of the picture with such a model: without tiles as well.
    untiled = {name: client.txt2img(sampler_name=name, steps=4, width=256, height=128) for name in failed}
    assert {name for name, made in untiled.items() if made.pixels.std() >= 1} <= SAMPLERS_THAT_SHRINK


def test_a_held_grid_moves_less_often_only_where_the_sampler_asks_twice_in_a_step(client: Client) -> None:
    def pictures(sampler: str) -> list[Made]:
        moving = {"enabled": True, "schedule": "cyclic", "gamma": 0.25, "edges": "ring", "fit": "native"}
        return [
            client.txt2img({**moving, "hold": hold}, sampler_name=sampler, steps=4, width=256, height=128)
            for hold in (False, True)
        ]

    assert same(*pictures("Euler"))
    assert not same(*pictures("Heun"))


def test_every_schedule_of_the_host_makes_a_tiled_picture(client: Client) -> None:
    failed = {}
    for scheduler in client.get("/sdapi/v1/schedulers"):
        made = client.txt2img(ON, sampler_name="Euler a", scheduler=scheduler["label"], steps=3)
        if done(made) != f"{SIX_TILES}18 UNet evaluations" or made.pixels.std() < 1:
            failed[scheduler["label"]] = done(made)
    # Some schedules of three steps have fewer, or leave nothing of the picture: without tiles as well.
    expected = {}
    for label in failed:
        client.post("/test/begin")
        client.txt2img(sampler_name="Euler a", scheduler=label, steps=3)
        expected[label] = f"{SIX_TILES}{6 * len(client.get('/test/seen'))} UNet evaluations"
    assert failed == expected


@pytest.mark.parametrize(
    ("choice", "numbers"),
    [
        ("tile", {(128, 128, 0, 0, 128, 128)}),
        ("crop", {(192, 320, top, left, 128, 128) for top in (0, 64) for left in (0, 128, 192)}),
        ("canvas", {(192, 320, 0, 0, 192, 320)}),
    ],
)
def test_sdxl_is_told_the_size_of_a_tile(client: Client, choice: str, numbers: set[tuple[int, ...]]) -> None:
    resting = {"enabled": True, "tile": 128, "fit": "native", "schedule": "cyclic", "gamma": 0}
    fields = {**checkpoint("sdxl"), "width": 320, "height": 192}
    client.txt2img(**fields)
    client.post("/test/begin")
    client.txt2img({**resting, "told_size": choice}, **fields)
    assert {tuple(row) for row in client.get("/test/told")} == numbers


def test_a_model_that_is_told_no_size_refuses_to_be_told_a_crop(client: Client) -> None:
    with pytest.raises(RefusedError, match="told_size must be tile or canvas on this host, got 'crop'"):
        client.txt2img({"enabled": True, "told_size": "crop"})


@pytest.mark.parametrize("name", ["sd1", "sd1-inpainting", "sd2", "sd2-v", "sdxl"])
def test_every_model_shape_sees_tiles_of_the_size_it_knows(client: Client, name: str) -> None:
    client.txt2img(**checkpoint(name), width=64, height=64)
    client.post("/test/begin")
    made = client.txt2img({"enabled": True, "tile": 128, "fit": "native"}, **checkpoint(name))
    seen = client.get("/test/seen")
    assert done(made) == f"{SIX_TILES}12 UNet evaluations"
    assert len(seen) == 12
    assert all(size[-2:] == [16, 16] for size in seen)


def test_tiles_at_once_go_through_the_unet_in_one_batch(client: Client) -> None:
    one_by_one = client.txt2img({"enabled": True, "tile_batch": 1})
    client.post("/test/begin")
    together = client.txt2img({"enabled": True, "tile_batch": 4})
    rows = [size[0] for size in client.get("/test/seen")]
    assert rows == [6, 6, 6, 6]  # six tiles in as few equal batches as can be, a row with and one without the prompt
    assert difference(one_by_one.images[0], together.images[0]) < ROUNDING


@pytest.mark.parametrize("schedule", ["golden", "cyclic", "random"])
@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_a_batch_of_three_equals_three_single_pictures(client: Client, sampler: str, schedule: str) -> None:
    settings = {"enabled": True, "schedule": schedule}
    three = client.txt2img(settings, sampler_name=sampler, n_iter=3)
    singles = [client.txt2img(settings, sampler_name=sampler, seed=5 + i) for i in range(3)]
    differences = [difference(a, b.images[0]) for a, b in zip(three.images[-3:], singles, strict=True)]
    assert differences == [0, 0, 0]


@pytest.mark.parametrize("schedule", ["golden", "random"])
def test_three_pictures_at_once_equal_three_single_pictures(client: Client, schedule: str) -> None:
    settings = {"enabled": True, "schedule": schedule}
    fields = {"sampler_name": "DPM++ 2M SDE", "prompt": "a cat AND a dog", "steps": 3}
    three = client.txt2img(settings, **fields, batch_size=3)
    singles = [client.txt2img(settings, **fields, seed=5 + i) for i in range(3)]
    assert all(difference(a, b.images[0]) < ROUNDING for a, b in zip(three.images[-3:], singles, strict=True))


def test_a_batch_of_img2img_equals_single_pictures(client: Client) -> None:
    three = client.img2img(colours(), ON, n_iter=3, steps=4)
    singles = [client.img2img(colours(), ON, seed=5 + i, steps=4) for i in range(3)]
    differences = [difference(a, b.images[0]) for a, b in zip(three.images[-3:], singles, strict=True)]
    assert max(differences) < 0.01  # the encoding of the first picture is a random draw of a tiny spread


def test_img2img_stays_near_its_picture_when_little_is_changed(client: Client) -> None:
    made = client.img2img(colours(), ON, denoising_strength=0.5, steps=4)
    assert done(made) == f"{SIX_TILES}18 UNet evaluations"
    changed = client.img2img(colours(), ON, denoising_strength=1.0, steps=4)
    assert not same(made, changed)


def test_img2img_has_its_own_size_to_the_pixel(client: Client) -> None:
    made = client.img2img(colours(), {"enabled": True, "width": 333, "height": 187})
    assert made.images[0].size == (333, 187)


@pytest.mark.parametrize("name", ["sd1", "sd1-inpainting"])
@pytest.mark.parametrize("only_masked", [False, True])
@pytest.mark.parametrize("fill", range(4))
def test_inpainting_changes_what_is_masked_only(client: Client, name: str, only_masked: bool, fill: int) -> None:
    fields = {"mask": mask_of_middle(), "inpaint_full_res": only_masked, "inpainting_fill": fill, "mask_blur": 0}
    made = client.img2img(colours(), ON, **fields, **checkpoint(name), steps=3)
    original = np.asarray(colours())
    assert done(made).startswith(SIX_TILES)
    assert np.array_equal(made.pixels[:32], original[:32])
    assert not np.array_equal(made.pixels[60:130, 80:220], original[60:130, 80:220])


def test_inpainting_with_an_exact_size_lays_the_original_over_it(client: Client) -> None:
    own = {"enabled": True, "width": 317, "height": 189}
    fields = {"mask": mask_of_middle(), "inpaint_full_res": False, "inpainting_fill": 1, "mask_blur": 0}
    options = checkpoint("sd1", return_mask=True, return_mask_composite=True)
    made = client.img2img(colours(), own, **fields, **options, steps=3)
    assert [image.size for image in made.images] == [(317, 189)] * 3
    resized = np.asarray(colours().resize((320, 192), Image.Resampling.LANCZOS))[1:190, 1:318]
    assert np.abs(made.pixels[:30].astype(int) - resized[:30]).max() <= 2


@pytest.mark.parametrize("upscaler", ["Latent", "Nearest"])
def test_both_passes_of_hires_fix_are_tiled(client: Client, upscaler: str) -> None:
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": upscaler, "denoising_strength": 0.7}
    made = client.txt2img(ON, **hires, sampler_name="Euler a", hr_sampler_name="DPM++ 2M", hr_second_pass_steps=3)
    first, second = done(made).split("; ")
    assert first == f"first pass: {SIX_TILES}12 UNet evaluations"
    assert second.startswith("hires pass: ")
    assert "1 tile" not in second
    assert made.images[0].size == (480, 288)


def test_hires_fix_of_an_exact_size_multiplies_it(client: Client) -> None:
    own = {"enabled": True, "width": 209, "height": 131}
    made = client.txt2img(own, enable_hr=True, hr_scale=2, hr_upscaler="Latent", denoising_strength=0.7)
    assert made.images[0].size == (418, 262)


@pytest.mark.parametrize(
    "prompt",
    ["a cat AND a dog :1.2", "[a cat:a dog:0.5] on a hill", "a cat, " * 60, "(a:1.4) [b] BREAK c | d"],
    ids=["AND", "schedule", "long", "syntax"],
)
def test_prompts_of_every_kind(client: Client, prompt: str) -> None:
    made = client.txt2img(ON, prompt=prompt, sampler_name="LMS", steps=4)
    assert done(made) == f"{SIX_TILES}24 UNet evaluations"
    assert not same(made, client.txt2img(ON, prompt="something else", sampler_name="LMS", steps=4))


@pytest.mark.parametrize("prompt", ["a cat", "a cat AND a dog", "a cat, " * 60])
def test_conditions_one_by_one_share_one_plan(client: Client, prompt: str) -> None:
    together = client.txt2img(ON, prompt=prompt, steps=4, **checkpoint("sd1", batch_cond_uncond=True))
    apart = client.txt2img(ON, prompt=prompt, steps=4, **checkpoint("sd1", batch_cond_uncond=False))
    assert done(together) == done(apart)
    assert difference(together.images[0], apart.images[0]) < ROUNDING


@pytest.mark.parametrize(
    "options", [{"skip_early_cond": 0.5}, {"s_min_uncond": 1.5}], ids=lambda options: next(iter(options))
)
def test_skipped_unconditional_passes(client: Client, options: dict[str, Any]) -> None:
    client.post("/test/begin")
    made = client.txt2img(ON, steps=4, **checkpoint("sd1", **options))
    rows = {size[0] for size in client.get("/test/seen")}
    assert rows == {1, 2}
    assert done(made) == f"{SIX_TILES}24 UNet evaluations"


@pytest.mark.parametrize(("sampler", "evaluations"), [("Euler", 24), ("DDIM", 18)])  # DDIM asks once less
def test_a_refiner_goes_on_with_tiles(client: Client, sampler: str, evaluations: int) -> None:
    refiner = {"refiner_checkpoint": "sd1-second.safetensors", "refiner_switch_at": 0.5}
    made = client.txt2img(ON, steps=4, sampler_name=sampler, **refiner, **checkpoint("sd1"))
    assert done(made) == f"{SIX_TILES}{evaluations} UNet evaluations"
    assert "Refiner: sd1-second" in made.infotext
    assert not same(made, client.txt2img(ON, steps=4, sampler_name=sampler, **checkpoint("sd1")))


def test_live_previews_of_the_whole_canvas(client: Client) -> None:
    made = client.txt2img(ON, steps=4, **checkpoint("sd1", show_progress_every_n_steps=1, live_previews_enable=True))
    assert done(made) == f"{SIX_TILES}24 UNet evaluations"


@pytest.mark.parametrize("method", ["txt2img", "img2img"])
def test_a_failing_unet_is_reported_and_the_next_picture_is_right(client: Client, method: str) -> None:
    def make() -> Made:
        return client.txt2img(ON) if method == "txt2img" else client.img2img(colours(), ON)

    before = make()
    client.post("/test/begin", {"at": 4, "action": "raise"})
    with pytest.raises(RefusedError, match="the UNet failed on purpose"):
        make()
    client.get("/test/seen")
    assert same(before, make())
