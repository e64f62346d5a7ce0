"""The preset "As in the paper", against a reading of InstantAS's sections 3.1 and 3.2 that shares no code with ours.

The reading works on the canvas itself. For every sampling region it says which latent pixels the model sees, in order,
and which of them the region leaves in the picture:

- Section 3.1, eq. 1: squares of the model's side L from the origin on, as few as cover the canvas. What is left at the
  far edge is filled inwards by overlapping the region before, and that overlap is removed again after the step.
- Section 3.2: after each step the canvas, closed to a ring on both axes, is shifted under the regions by gamma of L.
  Their number stays the same. A horizontal shift in one step is followed by a vertical one in the next.
- Figure 7 gives periods of 1/gamma steps for a canvas of one row (200, 8, 4, 2, 1): where only one axis holds more
  than one region, every step shifts along that one.

The paper does not say how a grid goes on that has travelled by a whole region on a canvas that is no multiple of it:
ours begins anew. No gamma is compared there that comes so far.
"""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lib_instantas.fusion import assemble, cut
from lib_instantas.methods import Request, make_method
from lib_instantas.presets import PRESETS
from lib_instantas.settings import parse_settings

L = 64
"""Side of a sampling region of Stable Diffusion 2.0 base: 512 image pixels."""
SIZES = [(512, 2048), (584, 2296), (1209, 523), (540, 1082), (2072, 1040), (896, 3560)]
"""Height and width in image pixels, of the paper's figures and tables and of its supplement."""
REGIONS = {
    (512, 2048): 4,
    (584, 2296): 10,
    (1209, 523): 6,
    (540, 1082): 6,
    (2072, 1040): 15,
    (896, 3560): 14,
}
"""ceil(height / 512) * ceil(width / 512), as section 3.1 counts; figure 3 shows ten regions at 584x2296."""
STEPS = 50
Indices = NDArray[np.int64]


def latent(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the latent canvas that holds these pixels."""
    return math.ceil(size[0] / 8), math.ceil(size[1] / 8)


def starts(length: int) -> list[int]:
    """Where the regions of one axis begin; the last is moved inwards if it would stick out."""
    return [min(i * L, length - L) for i in range(math.ceil(length / L))] if length > L else [0]


def shifts(canvas: tuple[int, int], gamma: float, step: int) -> tuple[int, int]:
    """How far (down, right) the canvas has been shifted when a step begins."""
    many = [length > L for length in canvas]
    down, right = (step // 2, (step + 1) // 2) if all(many) else (step, step)
    return tuple(round(gamma * L * moves) if several else 0 for several, moves in zip(many, (down, right), strict=True))  # type: ignore[return-value]


def read(canvas: tuple[int, int], gamma: float, step: int) -> tuple[list[Indices], Indices]:
    """What each region sees, as numbers of the canvas's pixels, and which region each pixel is taken from."""
    numbers = np.arange(canvas[0] * canvas[1]).reshape(canvas)
    down, right = shifts(canvas, gamma, step)
    rolled = np.roll(numbers, (-down, -right), axis=(0, 1))
    seen, owner = [], np.full(canvas[0] * canvas[1], -1)
    for i, top in enumerate(starts(canvas[0])):
        for j, left in enumerate(starts(canvas[1])):
            owner[rolled[i * L : i * L + L, j * L : j * L + L].ravel()] = len(seen)
            seen.append(rolled[top : top + L, left : left + L])
    return seen, owner.reshape(canvas)


def ours(canvas: tuple[int, int], gamma: float, step: int) -> tuple[list[Indices], Indices]:
    """The same of the preset's plan: numbers cut as the model's input is, and regions put together as predictions."""
    settings = parse_settings({**PRESETS["As in the paper"].values, "gamma": gamma, "enabled": True})
    plan = make_method(Request(canvas, L, settings, seed=7, steps=STEPS)).plan(step)
    numbers = torch.arange(canvas[0] * canvas[1], dtype=torch.float64).reshape(1, 1, *canvas)
    windows = [cut(numbers, plan, tile) for tile in plan.tiles]
    owners = [
        (tile, torch.full_like(window, i)) for i, (tile, window) in enumerate(zip(plan.tiles, windows, strict=True))
    ]
    return [window[0, 0].long().numpy() for window in windows], assemble(plan, owners)[0, 0].long().numpy()


@pytest.mark.parametrize("size", SIZES)
def test_as_many_regions_as_the_minimum_cover_of_the_paper(size: tuple[int, int]) -> None:
    seen, owner = ours(latent(size), 0.015, 0)

    assert len(seen) == REGIONS[size]
    assert set(owner.ravel()) == set(range(REGIONS[size]))


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("size", SIZES)
def test_the_preset_is_the_papers_method(size: tuple[int, int], step: int) -> None:
    assert_alike(latent(size), 0.015, step)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 8, 9, 49])
@pytest.mark.parametrize("gamma", [0.125, 0.25, 0.5, 1.0])
def test_so_are_the_other_gammas_of_figure_7_at_its_size(gamma: float, step: int) -> None:
    assert_alike(latent((512, 2048)), gamma, step)


def assert_alike(canvas: tuple[int, int], gamma: float, step: int) -> None:
    papers, papers_owner = in_order(*read(canvas, gamma, step))
    seen, owner = in_order(*ours(canvas, gamma, step))

    np.testing.assert_array_equal(np.stack(seen), np.stack(papers))
    np.testing.assert_array_equal(owner, papers_owner)


def in_order(seen: list[Indices], owner: Indices) -> tuple[list[Indices], Indices]:
    """The regions by the first pixel that they see: which is counted first does not matter."""
    order = sorted(range(len(seen)), key=lambda region: int(seen[region][0, 0]))
    return [seen[region] for region in order], np.argsort(order)[owner]


def test_horizontal_and_vertical_shifts_take_turns() -> None:
    first, *rest = [shifts(latent((896, 3560)), 0.25, step) for step in range(5)]

    assert first == (0, 0)
    assert rest == [(0, 16), (16, 16), (16, 32), (32, 32)]
