"""Style alignment in the real WebUI."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from client import Client, Made, RefusedError, difference, encoded, same
from infotexts import done, recorded
from PIL import Image

FOUR_TILES: dict[str, Any] = {"width": 512, "height": 128, "steps": 2, "sampler_name": "DDIM"}
STILL = {"enabled": True, "schedule": "cyclic", "gamma": 0.0, "fit": "native"}


def tiles_differ(made: Made) -> float:
    """Mean distance between the insides of neighbouring tiles, grey levels of 255."""
    tiles = [made.pixels[16:-16, 128 * i + 16 : 128 * i + 112].astype(float) for i in range(4)]
    return float(np.mean([np.abs(a - b).mean() for a, b in pairwise(tiles)]))


def test_alignment_makes_tiles_alike_and_zero_changes_no_pixel(client: Client) -> None:
    plain = client.txt2img(STILL, **FOUR_TILES)
    zero = client.txt2img({**STILL, "style_alignment": 0}, **FOUR_TILES)
    aligned = client.txt2img({**STILL, "style_alignment": 0.8}, **FOUR_TILES)
    repeated = client.txt2img({**STILL, "style_alignment": 1}, **FOUR_TILES)
    assert same(plain, zero)
    assert tiles_differ(repeated) < tiles_differ(aligned) < tiles_differ(plain)
    assert recorded(aligned.infotext)["settings"]["style_alignment"] == 0.8
    assert done(aligned) == done(plain)


def test_an_aligned_picture_can_be_made_again_alone_or_in_a_batch(client: Client) -> None:
    settings = {**STILL, "style_alignment": 0.4}
    batch = client.txt2img(settings, **FOUR_TILES, seed=7, batch_size=2)
    second = client.txt2img(settings, **FOUR_TILES, seed=8)
    assert difference(batch.images[-1], second.images[0]) < 1


def test_the_reference_may_be_a_picture(client: Client) -> None:
    own = client.txt2img({**STILL, "style_alignment": 0.8}, **FOUR_TILES)
    picture = "data:image/png;base64," + encoded(Image.new("RGB", (128, 128), (255, 40, 0)))
    pictured = client.txt2img({**STILL, "style_alignment": 0.8, "style_reference": picture}, **FOUR_TILES)
    assert not same(own, pictured)


def test_a_reference_that_cannot_be_read_stops_the_generation(client: Client) -> None:
    with pytest.raises(RefusedError, match="style_reference must be"):
        client.txt2img({**STILL, "style_alignment": 0.8, "style_reference": "no picture"}, **FOUR_TILES)
