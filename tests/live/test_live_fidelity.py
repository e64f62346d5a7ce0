"""A given picture keeps its colours and large shapes while tiles add details: upscaling, img2img, hires, two stages.

With the small model of this repository: the autoencoder of one with random weights shows no colours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from client import Client, Made, difference
from infotexts import done, recorded
from PIL import Image
from test_generation import checkpoint
from test_live_vae import painter  # noqa: F401 (painter is a fixture)

SIDES = {"width": 512, "height": 320}
FIELDS: dict[str, Any] = {"steps": 8, "cfg_scale": 3, "prompt": "a meadow by day", **checkpoint("small_world")}
TWO_COLOURS = ((200, 90, 40), (40, 90, 200))


def given(colour: int = 0, size: tuple[int, int] = (512, 320)) -> Image.Image:
    """Another colour to the left than to the right, which no meadow has."""
    y, x = np.mgrid[:320, :512]
    share = np.clip((x - 200) / 100, 0, 1)[..., None]
    colours = [np.array(one, float) for one in (TWO_COLOURS[colour], TWO_COLOURS[1 - colour])]
    pixels = colours[0] * (1 - share) + colours[1] * share + 20 * np.sin(x / 9)[..., None] * np.cos(y / 7)[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize(size)


def made(client: Client, fidelity: float, settings: dict[str, Any] | None = None, **fields: Any) -> Made:
    chosen = {"enabled": True, "fidelity": fidelity, **(settings or {})}
    return client.img2img(given(), chosen, **{**FIELDS, **SIDES, "denoising_strength": 0.6, **fields})


def apart(one: Image.Image, other: Image.Image) -> float:
    """How far large shapes and colours lie apart, in grey levels."""
    small, other_small = (picture.convert("RGB").resize((8, 5), Image.Resampling.BOX) for picture in (one, other))
    return difference(small, other_small)


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M", "DDIM"])
def test_colours_and_large_shapes_stay(painter: Client, sampler: str) -> None:  # noqa: F811
    pictures = [made(painter, strength, sampler_name=sampler).images[0] for strength in (0, 0.5, 1)]
    away, half, held = (apart(given(), picture) for picture in pictures)
    assert held < 0.4 * away
    assert held < half < away
    assert difference(given(), pictures[2]) > 5  # there are details of the model's own


def test_the_whole_at_once_is_held_as_tiles_are(painter: Client) -> None:  # noqa: F811
    pictures = [made(painter, strength, {"method": "direct"}).images[0] for strength in (0, 1)]
    away, held = (apart(given(), picture) for picture in pictures)
    assert held < 0.4 * away


def test_each_picture_of_a_batch_is_held_to_its_own(painter: Client) -> None:  # noqa: F811
    from client import encoded

    both = made(painter, 1, batch_size=2, init_images=[encoded(given(0)), encoded(given(1))]).images[-2:]
    for mine, picture in enumerate(both):
        assert 4 * apart(given(mine), picture) < apart(given(1 - mine), picture)


def test_an_upscaled_picture_stays_nearer_to_the_given_one(painter: Client) -> None:  # noqa: F811
    small = given(size=(256, 160))
    fields = {**FIELDS, "denoising_strength": 0.4}
    pictures = [
        painter.img2img(small, {"enabled": True, "upscale_by": 2, "fidelity": strength}, **fields).images[0]
        for strength in (0, 1)
    ]
    away, held = (apart(given(), picture) for picture in pictures)
    assert pictures[1].size == (512, 320)
    assert held < 0.5 * away


def test_metadata_name_it_and_bring_the_setting_back(painter: Client) -> None:  # noqa: F811
    picture = made(painter, 0.75)
    assert done(picture).endswith("fidelity 0.75")
    assert recorded(picture.infotext)["settings"]["fidelity"] == 0.75


@pytest.mark.parametrize("way", ["hires", "composed"])
def test_the_second_of_two_passes_is_held_to_the_first(painter: Client, way: str) -> None:  # noqa: F811
    small = {"width": 320, "height": 192}
    if way == "hires":
        fields = {**small, "enable_hr": True, "hr_scale": 2, "hr_upscaler": "Lanczos", "denoising_strength": 0.8}
        settings: dict[str, Any] = {}
    else:
        fields = {"width": 640, "height": 384}
        settings = {"compose": True, "compose_strength": 0.8}
    first = painter.txt2img({"enabled": True, "method": "direct"}, **FIELDS, **small).images[0].resize((640, 384))
    pictures = [
        painter.txt2img({"enabled": True, "fidelity": strength, **settings}, **{**FIELDS, **fields})
        for strength in (0, 1)
    ]
    before, after = done(pictures[1]).split("; hires pass: ")
    assert "fidelity" not in before
    assert after.endswith("fidelity 1")
    if way == "hires":
        away, held = (apart(first, picture.images[0]) for picture in pictures)
        assert held < 0.6 * away


def test_nothing_is_left_behind(painter: Client) -> None:  # noqa: F811
    before, _, after = (made(painter, strength).images[0] for strength in (0, 1, 0))
    assert difference(before, after) < 0.1


def test_without_a_picture_it_says_that_it_has_no_effect(painter: Client) -> None:  # noqa: F811
    text = done(painter.txt2img({"enabled": True, "fidelity": 1.0}, **FIELDS, **SIDES))
    assert "fidelity has no effect in txt2img" in text


@pytest.mark.parametrize(("fill", "acts"), [(1, True), (2, False), (3, False)])
def test_a_masked_part_without_a_picture_is_not_held_and_that_is_said(
    painter: Client,  # noqa: F811
    fill: int,
    acts: bool,
) -> None:
    from client import encoded

    mask = Image.new("L", (512, 320), 0)
    mask.paste(255, (128, 64, 384, 256))
    fields = {"mask": encoded(mask), "inpainting_fill": fill}
    without, held = (made(painter, strength, **fields) for strength in (0, 1))
    assert (difference(without.images[0], held.images[0]) > 0.5) == acts
    assert ("fidelity has no effect where the masked part is filled" in done(held)) != acts
