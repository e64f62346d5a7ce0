"""img2img from the noise that leads back to the given picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from client import Client, Made, difference
from infotexts import done, recorded
from PIL import Image

TILES = {"enabled": True, "tile": 128}
SIDES = {"width": 320, "height": 192}
FAITHFUL = {"denoising_strength": 0.6, "steps": 12, "cfg_scale": 1}
"""No guidance: sampling then follows the equation that was inverted."""


def given() -> Image.Image:
    y, x = np.mgrid[:192, :320]
    waves = [np.sin(x / 25) * np.cos(y / 30), np.sin((x + y) / 40), np.cos((x - y) / 50)]
    return Image.fromarray((127.5 + 90 * np.stack(waves, -1)).astype(np.uint8))


def made(client: Client, evaluations: int, settings: dict[str, Any] | None = None, **fields: Any) -> Made:
    chosen = {**(settings or TILES), "noise_inversion": evaluations}
    return client.img2img(given(), chosen, **{**SIDES, **FAITHFUL, **fields})


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "DDIM"])
@pytest.mark.parametrize(("method", "share"), [("direct", 0.8), ("InstantAS", 0.9)])
def test_inverted_noise_leads_back_to_the_picture(client: Client, sampler: str, method: str, share: float) -> None:
    """A model of random weights answers a tile in another place otherwise: what tiles keep of it is little."""
    kept = client.img2img(given(), TILES, **{**SIDES, **FAITHFUL, "denoising_strength": 0.01}).images[0]
    settings = {**TILES, "method": method}
    away, back = (difference(kept, made(client, count, settings, sampler_name=sampler).images[0]) for count in (0, 12))
    assert back < share * away


def test_metadata_name_both_runs_and_bring_the_setting_back(client: Client) -> None:
    picture = made(client, 5)
    assert done(picture).startswith("noise inversion: 6 tiles of 128x128, 30 UNet evaluations; first pass: 6 tiles")
    assert recorded(picture.infotext)["settings"]["noise_inversion"] == 5
    assert "Schedule" not in picture.infotext.replace("Schedule type", "")


def test_every_picture_of_a_batch_gets_noise_of_its_own(client: Client) -> None:
    both = made(client, 4, batch_size=2, n_iter=2)
    assert len(both.images) == 4
    assert all("noise inversion: 6 tiles" in text for text in both.info["infotexts"][-4:])


def test_masks_hold(client: Client) -> None:
    from client import encoded

    mask = np.zeros((192, 320), np.uint8)
    mask[:, :160] = 255
    picture = made(client, 4, mask=encoded(Image.fromarray(mask)), inpainting_fill=1, mask_blur=0).images[0]
    right, own = (np.asarray(one.convert("RGB"), dtype=float)[:, 200:] for one in (picture, given()))
    assert np.abs(right - own).mean() < 3


def test_nothing_is_left_behind(client: Client) -> None:
    before, _, after = (made(client, count).images[0] for count in (0, 4, 0))
    assert difference(before, after) < 0.1


def test_without_a_picture_it_says_that_it_has_no_effect(client: Client) -> None:
    text = done(client.txt2img({**TILES, "noise_inversion": 5}))
    assert "noise_inversion has no effect in txt2img" in text
