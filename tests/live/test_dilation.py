"""ScaleCrafter in the real WebUI."""

from __future__ import annotations

from typing import Any

import pytest
from client import DEFAULT_TILES, Client, RefusedError, difference, same
from infotexts import done, recorded

FAR = {"enabled": True, "method": "ScaleCrafter", **DEFAULT_TILES}
DIRECT = {"enabled": True, "method": "direct", **DEFAULT_TILES}
LARGE: dict[str, Any] = {"width": 256, "height": 256, "steps": 5, "sampler_name": "Euler a"}
"""Twice what the model of the tests knows."""


def checkpoint(name: str) -> dict[str, Any]:
    return {"override_settings": {"sd_model_checkpoint": f"{name}.safetensors"}}


@pytest.mark.parametrize("name", ["sd1", "sd2-v", "sdxl"])
def test_it_is_another_picture_that_says_so_and_can_be_made_again(client: Client, name: str) -> None:
    settings = {**FAR, "tile": 128}
    far, again = (client.txt2img(settings, **LARGE, **checkpoint(name)) for _ in range(2))
    plain = client.txt2img({**DIRECT, "tile": 128}, **LARGE, **checkpoint(name))
    assert same(far, again)
    assert not same(far, plain)
    assert done(far) == "1 tile of 256x256, 5 UNet evaluations, dilation 2 in the first 3"


def test_its_settings_are_recorded_and_matter(client: Client) -> None:
    made = {levels: client.txt2img({**FAR, "dilated_levels": levels}, **LARGE) for levels in (1, 3)}
    weaker = client.txt2img({**FAR, "dilation": 1.5}, **LARGE)
    settings = {"enabled": True, "method": "ScaleCrafter", "dilated_levels": 3}
    assert recorded(made[3].infotext)["settings"].items() >= settings.items()
    assert done(weaker).endswith("dilation 1.5 in the first 3")
    assert len({picture.pixels.tobytes() for picture in (*made.values(), weaker)}) == 3


def test_each_pass_of_hires_fix_has_a_factor_of_its_own(client: Client) -> None:
    hires = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    made = client.txt2img(FAR, **{**LARGE, "width": 192, "height": 192}, **hires)
    assert "first pass: 1 tile of 192x192, 5 UNet evaluations, dilation 1.5" in done(made)
    assert "hires pass: 1 tile of 384x384, 5 UNet evaluations, dilation 3 in the first 3" in done(made)


def test_a_picture_of_a_batch_is_the_one_it_is_alone(client: Client) -> None:
    batch = client.txt2img(FAR, **LARGE, seed=7, batch_size=2)
    alone = client.txt2img(FAR, **LARGE, seed=8)
    assert difference(batch.images[-1], alone.images[0]) < 1


def test_where_the_model_knows_the_shorter_side_it_does_nothing_and_says_so(client: Client) -> None:
    panorama = {**LARGE, "height": 128}
    made, off = client.txt2img(FAR, **panorama), client.txt2img({"enabled": False}, **panorama)
    assert same(made, off)
    assert done(made) == "off: the image's shorter side is not longer than the model's own"


@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_far_beyond_the_models_size_its_guidance_is_noise_damped(client: Client, name: str) -> None:
    """However the host divides the rows among calls; and without guidance, outer levels stay as trained."""
    size = {**LARGE, "width": 512, "height": 512}
    settings = {**FAR, "tile": 128}
    apart = {**checkpoint(name)["override_settings"], "batch_cond_uncond": False}
    made = client.txt2img(settings, **size, **checkpoint(name))
    in_two_calls = client.txt2img(settings, **size, override_settings=apart)
    undamped = client.txt2img({**settings, "dilation": 4, "dilated_levels": 1}, **size, **checkpoint(name))
    unguided = client.txt2img(settings, **size, **checkpoint(name), cfg_scale=1)
    assert done(made).endswith("dilation 4 in the first 4, each half as long again (noise-damped)")
    assert difference(made.images[0], in_two_calls.images[0]) < 1
    assert not same(made, undamped)
    assert done(unguided).endswith("dilation 4 in the first 4, outer levels as trained because CFG 1 has no guidance")


def test_more_than_the_settings_allow_stops_the_generation(client: Client) -> None:
    with pytest.raises(RefusedError, match="dilated_levels must be a whole number between 0 and 3, got 4"):
        client.txt2img({**FAR, "dilated_levels": 4}, **LARGE)


def test_regional_prompts_go_with_it(client: Client) -> None:
    region = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a dog"}
    made = client.txt2img({**FAR, "regions": {"regions": [region]}}, **LARGE)
    assert not same(made, client.txt2img(FAR, **LARGE))
    assert done(made).endswith("dilation 2 in the first 3, 1 region")
