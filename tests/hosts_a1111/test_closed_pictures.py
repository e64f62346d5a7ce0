"""Pictures that are closed on themselves, at sizes that latents do not divide; and 360° pictures that are saved."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lib_instantas.hosts.a1111.generation import Generation
from lib_instantas.hosts.a1111.panorama import after_saving, before_saving, mark_sphere
from lib_instantas.hosts.a1111.sizes import cropped
from lib_instantas.panorama import XMP_KEY, sphere_xmp
from lib_instantas.settings import parse_settings


def ring(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A picture whose left and right borders meet: one wave around."""
    wave = 127.5 + 120 * np.cos(2 * np.pi * (np.arange(width) + 0.5) / width)
    return Image.fromarray(np.tile(wave, (height, 1)).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("width", [1001, 1007, 1004])
def test_a_closed_axis_is_shrunk_to_the_exact_size_so_that_its_ends_meet(width: int, mode: str) -> None:
    made = ring(1008, 64, mode)
    closed = cropped(made, (61, width), 8, (False, True))
    assert (closed.size, closed.mode) == ((width, 61), mode)
    expected = ring(width, 61)
    assert np.abs(np.asarray(closed.convert("RGB"), float) - np.asarray(expected, float)).max() <= 2


def test_an_open_axis_is_cropped_pixel_for_pixel() -> None:
    made = ring(1008, 64)
    assert np.array_equal(np.asarray(cropped(made, (61, 1001), 8)), np.asarray(made)[1:62, 3:1004])


def marked(size: tuple[int, int], **settings: object) -> Image.Image:
    picture = Image.new("RGB", size)
    mark_sphere(picture, Generation(parse_settings({"enabled": True, **settings})))
    return picture


def test_only_a_360_picture_is_marked() -> None:
    assert marked((256, 128), wrap="horizontal").info[XMP_KEY] == sphere_xmp((128, 256))
    assert XMP_KEY not in marked((256, 128), wrap="both").info
    assert XMP_KEY not in marked((256, 120), wrap="horizontal").info


def test_a_png_and_a_jpeg_carry_it_and_what_is_made_of_the_picture_does_not(tmp_path: Path) -> None:
    picture, file = marked((256, 128), wrap="horizontal"), tmp_path / "picture.jpg"
    picture.save(file)
    params = SimpleNamespace(image=picture, filename=str(file), pnginfo={"parameters": "a harbour"})
    before_saving(params)
    after_saving(params)
    assert params.pnginfo == {"parameters": "a harbour", XMP_KEY: sphere_xmp((128, 256))}
    assert sphere_xmp((128, 256)).encode() in file.read_bytes()
    assert list(tmp_path.iterdir()) == [file]

    smaller = picture.resize((250, 128))
    smaller.info = dict(picture.info)
    plain = SimpleNamespace(image=smaller, filename=str(tmp_path / "other.jpg"), pnginfo={})
    before_saving(plain)
    assert plain.pnginfo == {}
