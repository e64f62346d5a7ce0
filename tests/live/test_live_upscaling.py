"""img2img with a picture that is enlarged first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from client import DEFAULT_TILES, Client, Made, RefusedError, difference, encoded
from infotexts import done, recorded
from PIL import Image

BY_TWO = {"enabled": True, "upscale_by": 2, "tile": 128}
SIX_TILES = "6 tiles of 128x128, "
ROUNDING = 0.1
"""Grey levels of 255 by which two ways to make the same picture may differ on average: hosts draw what they encode."""
LITTLE = {"denoising_strength": 0.3, "steps": 6}


def given(size: tuple[int, int] = (160, 96)) -> Image.Image:
    """A picture with details of every kind of direction."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    waves = [np.sin(x / 5) * np.cos(y / 7), np.sin((x + y) / 9), np.cos((x - 2 * y) / 11)]
    return Image.fromarray((127.5 + 120 * np.stack(waves, -1)).astype(np.uint8))


def by_hand(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture.resize(size, Image.Resampling.LANCZOS)


def mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> str:
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    return encoded(Image.fromarray(pixels))


def test_upscaling_is_the_hosts_img2img_of_the_enlarged_picture(client: Client) -> None:
    made = client.img2img(given(), BY_TWO, **LITTLE, width=64, height=64)
    large = client.img2img(by_hand(given(), (320, 192)), {"enabled": True, "tile": 128}, **LITTLE)
    assert made.images[0].size == (320, 192)
    assert done(made).startswith(SIX_TILES)
    assert difference(made.images[0], large.images[0]) < ROUNDING


def test_the_result_has_the_exact_size_and_says_so(client: Client) -> None:
    made = client.img2img(given((101, 61)), {**BY_TWO, "upscale_by": 2.5}, **LITTLE)
    assert made.images[0].size == (252, 152)
    assert "Size: 252x152" in made.infotext
    assert (made.info["width"], made.info["height"]) == (252, 152)
    assert recorded(made.infotext)["settings"]["upscale_by"] == 2.5


def test_a_size_of_ones_own_comes_before_the_factor(client: Client) -> None:
    made = client.img2img(given(), {**BY_TWO, "width": 200, "height": 120}, **LITTLE)
    assert made.images[0].size == (200, 120)


def test_the_upscaler_makes_a_difference_and_must_be_there(client: Client) -> None:
    lanczos, nearest = (
        client.img2img(given(), {**BY_TWO, "upscaler": name}, **LITTLE) for name in ("Lanczos", "Nearest")
    )
    assert difference(lanczos.images[0], nearest.images[0]) > ROUNDING
    with pytest.raises(RefusedError, match=r"upscaler must be one of .*Lanczos.*, got 'nobody'"):
        client.img2img(given(), {**BY_TWO, "upscaler": "nobody"}, **LITTLE)


def test_every_picture_of_a_batch_is_upscaled(client: Client) -> None:
    other = Image.fromarray(255 - np.asarray(given()))
    pictures = {"init_images": [encoded(given()), encoded(other)], "batch_size": 2}
    both = client.img2img(given(), BY_TWO, **LITTLE, **pictures)
    assert [image.size for image in both.images] == [(320, 192)] * 2
    for image, source, seed in zip(both.images, (given(), other), (5, 6), strict=True):
        alone = client.img2img(by_hand(source, (320, 192)), {"enabled": True, "tile": 128}, **LITTLE, seed=seed)
        assert difference(image, alone.images[0]) < ROUNDING


def test_regions_and_the_preset_go_with_it(client: Client) -> None:
    region = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a blue dog"}
    plain = client.img2img(given(), {"enabled": True, "preset": "Upscale", "tile": 128, "tile_batch": 0}, **LITTLE)
    regional = client.img2img(given(), {**BY_TWO, "fidelity": 1, "regions": [region]}, **LITTLE)
    alike = client.img2img(given(), {**BY_TWO, **DEFAULT_TILES, "fidelity": 1}, **LITTLE)
    assert recorded(plain.infotext)["settings"] == recorded(alike.infotext)["settings"]
    assert difference(plain.images[0], alike.images[0]) < ROUNDING
    assert "1 region" in done(regional)
    assert difference(plain.images[0], regional.images[0]) > ROUNDING


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_what_a_mask_keeps_is_the_enlarged_picture(client: Client, strength: float) -> None:
    fields = {"mask": mask((160, 96), (0, 0, 60, 96)), "mask_blur": 0, "inpainting_fill": 1, "inpaint_full_res": False}
    made = client.img2img(given(), BY_TWO, **fields, denoising_strength=strength, steps=4)
    kept = by_hand(given(), (320, 192))
    assert np.array_equal(made.pixels[:, 130:], np.asarray(kept)[:, 130:])


def _only_masked(client: Client, settings: dict[str, Any]) -> Made:
    fields = {"mask": mask((160, 96), (20, 20, 80, 80)), "mask_blur": 0, "inpaint_full_res": True}
    return client.img2img(given(), settings, **fields, **LITTLE)


def test_where_it_cannot_act_it_says_why(client: Client) -> None:
    inpainted = _only_masked(client, BY_TWO)
    assert inpainted.images[0].size == (160, 96)
    assert "upscale_by has no effect where only the masked part is inpainted" in done(inpainted)
    without = _only_masked(client, {"enabled": True, "tile": 128})
    assert difference(inpainted.images[0], without.images[0]) < ROUNDING


def test_a_texture_that_is_enlarged_still_meets_itself(client: Client) -> None:
    period = np.asarray(given((120, 120))).astype(float)
    ramp = np.linspace(0, 255, 160)[None, :, None].repeat(160, 0).repeat(3, 2)  # its borders are far apart
    ramp[:120, :120] = (ramp[:120, :120] + period) / 2
    ring = Image.fromarray(np.concatenate([ramp, ramp[:, ::-1]], 1).astype(np.uint8))  # and meet after a mirror
    nothing = {"denoising_strength": 0.0, "steps": 4}
    made = client.img2img(ring, {**BY_TWO, "wrap": "horizontal"}, **nothing).pixels.astype(float)
    steps = np.abs(np.diff(made, axis=1)).mean((0, 2))
    border = np.abs(made[:, 0] - made[:, -1]).mean()
    assert border <= steps.max()


def test_an_upscaled_picture_is_made_again_from_its_metadata(client: Client) -> None:
    made = client.img2img(given(), {**BY_TWO, "upscale_by": 1.5}, **LITTLE)
    again = client.img2img(given(), {**recorded(made.infotext)["settings"], "enabled": True}, **LITTLE)
    assert difference(made.images[0], again.images[0]) < ROUNDING
