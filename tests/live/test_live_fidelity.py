"""A given picture keeps its colours and large shapes while tiles add details: upscaling, img2img, hires, two stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from client import Client, Made, difference
from infotexts import done, recorded
from PIL import Image

TILES = {"enabled": True, "tile": 128}
SIDES = {"width": 320, "height": 192}
TWO_COLOURS = ((200, 90, 40), (40, 90, 200))


def given(colour: int = 0) -> Image.Image:
    """Another colour to the left than to the right, and something to see in each."""
    y, x = np.mgrid[:192, :320]
    share = np.clip((x - 120) / 80, 0, 1)[..., None]
    colours = [np.array(one, float) for one in (TWO_COLOURS[colour], TWO_COLOURS[1 - colour])]
    pixels = colours[0] * (1 - share) + colours[1] * share + 20 * np.sin(x / 9)[..., None] * np.cos(y / 7)[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def made(client: Client, fidelity: float, settings: dict[str, Any] | None = None, **fields: Any) -> Made:
    chosen = {**TILES, "fidelity": fidelity, **(settings or {})}
    return client.img2img(given(), chosen, **{**SIDES, "denoising_strength": 0.6, "steps": 8, **fields})


def apart(one: Image.Image, other: Image.Image) -> float:
    """How far large shapes and colours lie apart, in grey levels."""
    return difference(*(picture.convert("RGB").resize((5, 3), Image.Resampling.BOX) for picture in (one, other)))


def through_the_autoencoder(client: Client) -> Image.Image:
    return client.img2img(given(), TILES, **SIDES, denoising_strength=0.01, steps=8).images[0]


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "DDIM"])
@pytest.mark.parametrize("method", ["InstantAS", "direct"])
def test_colours_and_large_shapes_stay(client: Client, sampler: str, method: str) -> None:
    kept = through_the_autoencoder(client)
    pictures = [made(client, strength, {"method": method}, sampler_name=sampler) for strength in (0, 0.5, 1)]
    away, half, held = (apart(kept, picture.images[0]) for picture in pictures)
    assert held < 0.5 * away
    assert held < half < away
    assert difference(kept, pictures[2].images[0]) > 2  # there are details of the model's own


def test_each_picture_of_a_batch_is_held_to_its_own(client: Client) -> None:
    from client import encoded

    both = [encoded(given(0)), encoded(given(1))]
    left = [
        np.asarray(picture.convert("RGB"), float)[:, :100].mean((0, 1))
        for picture in made(client, 1, batch_size=2, init_images=both).images[-2:]
    ]
    assert left[0][0] > left[0][2] + 20
    assert left[1][2] > left[1][0] + 20


def test_an_upscaled_picture_stays_nearer_to_the_given_one(client: Client) -> None:
    fields = {"denoising_strength": 0.5, "steps": 8}
    small = given().resize((160, 96))
    pictures = [
        client.img2img(small, {**TILES, "upscale_by": 2, "fidelity": strength}, **fields).images[0]
        for strength in (0, 1)
    ]
    away, held = (apart(through_the_autoencoder(client), picture) for picture in pictures)
    assert pictures[1].size == (320, 192)
    assert held < 0.6 * away


def test_metadata_name_it_and_bring_the_setting_back(client: Client) -> None:
    picture = made(client, 0.75)
    assert done(picture).endswith("fidelity 0.75")
    assert recorded(picture.infotext)["settings"]["fidelity"] == 0.75


def test_the_second_pass_of_two_is_held_to_the_first(client: Client) -> None:
    """By its colours alone: what the model would make of it in the second pass is another picture."""
    fields = {"width": 512, "height": 256, "steps": 6}
    for composed in ({"compose": True, "compose_strength": 0.8}, {}):
        hires = {} if composed else {"enable_hr": True, "hr_scale": 2, "width": 256, "height": 128}
        more = {"hr_upscaler": "Latent", "denoising_strength": 0.8} if hires else {}
        pictures = [
            client.txt2img({**TILES, "fidelity": strength, **composed}, **{**fields, **hires, **more})
            for strength in (0, 1)
        ]
        assert "hires pass: " in done(pictures[1])
        assert done(pictures[1]).endswith("fidelity 1")
        assert "first pass: " in done(pictures[1])
        assert "fidelity 1;" not in done(pictures[1])
        assert difference(*(picture.images[0] for picture in pictures)) > 1


def test_nothing_is_left_behind(client: Client) -> None:
    before, _, after = (made(client, strength).images[0] for strength in (0, 1, 0))
    assert difference(before, after) < 0.1


def test_without_a_picture_it_says_that_it_has_no_effect(client: Client) -> None:
    assert "fidelity has no effect in txt2img" in done(client.txt2img({**TILES, "fidelity": 1.0}))
