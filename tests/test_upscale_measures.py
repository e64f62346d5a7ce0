"""What `benchmarks.upscale` measures, on pictures of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.upscale.__main__ import psnr, seam
from benchmarks.upscale.tools import WAYS, borders

TOOLS = (*WAYS, "SD upscale", "Ultimate SD Upscale", "Tiled Diffusion")


def noise(side: int = 1024) -> np.ndarray:
    return np.random.default_rng(0).random((side, side, 3)).astype(np.float32) * 10


@pytest.mark.parametrize("tool", TOOLS)
def test_a_picture_without_borders_has_no_seam_and_a_step_is_one(tool: str) -> None:
    rows, columns = borders(tool, 1024)
    picture = noise()
    assert seam([picture], rows, columns) == pytest.approx(1, abs=0.02)
    for line in columns:
        picture[:, line:] += 20 if columns.index(line) % 2 else -20
    assert seam([picture], rows, columns) > 1.5


@pytest.mark.parametrize("side", [1024, 2048])
def test_the_steps_of_the_given_pictures_own_latent_pixels_are_no_seam(side: int) -> None:
    picture, every = noise(side), 8 * side // 256
    for line in range(every, side, every):
        picture[:, line:] += 5
    assert seam([picture], [256, 512], [256, 512]) == pytest.approx(1, abs=0.02)


def test_psnr_of_a_known_error() -> None:
    black, grey = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), (255, 255, 255))
    assert psnr(black, grey) == pytest.approx(0)
    assert psnr(black, Image.new("RGB", (8, 8), (1, 1, 1))) == pytest.approx(48.13, abs=0.01)
