"""A picture that is closed on itself: every method sees across the border, and nothing is mirrored there."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.fusion import assemble, cut
from lib_instantas.methods import METHODS, NAMES, Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import TilePlan

WRAPPING = [name for name in NAMES if "wrap" not in METHODS[name].without]
STEPS = 20
wraps = st.sampled_from(["horizontal", "vertical", "both"])
edges = st.sampled_from(["elastic", "clamp", "ring", "elastic/ring"])


def plans(name: str, canvas: tuple[int, int], **values: Any) -> list[TilePlan]:
    settings = parse_settings({"enabled": True, "method": name, **values})
    method = make_method(Request(canvas, 32, settings, seed=3, steps=STEPS))
    return [method.plan(evaluation) for evaluation in range(STEPS)]


def sees_both_borders(plan: TilePlan, axis: int) -> bool:
    """Whether some tile has the canvas's last pixel beside its first one, as a model would see it."""
    length = plan.canvas[axis]
    places = torch.arange(float(length))
    canvas = (places[:, None] if axis == 0 else places[None, :]).expand(1, 1, *plan.canvas)
    for tile in plan.tiles:
        window = cut(canvas, plan, tile)[0, 0]
        line = (window[:, 0] if axis == 0 else window[0]).int().tolist()
        if (length - 1, 0) in pairwise(line):
            return True
    return False


@pytest.mark.parametrize("name", WRAPPING)
@pytest.mark.parametrize("canvas", [(32, 128), (32, 131), (128, 128), (97, 60), (24, 24), (30, 21)])
def test_tiles_of_every_method_see_across_a_closed_border_regularly(name: str, canvas: tuple[int, int]) -> None:
    """And not across an open one, but for SpotDiffusion, which is a ring wherever it has several tiles."""
    for wrap, closed_axes in (("horizontal", [1]), ("vertical", [0]), ("both", [0, 1])):
        made = plans(name, canvas, wrap=wrap, edges="elastic")
        for axis in closed_axes:
            seen = [sees_both_borders(plan, axis) for plan in made]
            assert sum(seen) >= 0.7 * STEPS, f"{wrap}, axis {axis}: {seen}"
        for axis in set() if name == "SpotDiffusion" else {0, 1} - set(closed_axes):
            assert not any(sees_both_borders(plan, axis) for plan in made)


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_a_grid_that_stands_still_has_no_line_on_a_closed_border(gamma: float) -> None:
    for plan in plans("InstantAS", (32, 128), wrap="horizontal", schedule="cyclic", gamma=gamma, fit="native"):
        assert sees_both_borders(plan, 1)


@given(st.sampled_from(WRAPPING), st.integers(8, 150), st.integers(8, 150), wraps, edges, st.integers(0, STEPS - 1))
def test_windows_wrap_at_every_shift_and_never_mirror(
    name: str, height: int, width: int, wrap: str, edge: str, evaluation: int
) -> None:
    """A tile's neighbouring pixels are neighbours on the ring, whatever the length."""
    plan = plans(name, (height, width), wrap=wrap, edges=edge)[evaluation]
    canvas = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()[None]
    closed = wrap in ("vertical", "both"), wrap in ("horizontal", "both")
    assert plan.closed[0] >= closed[0]
    assert plan.closed[1] >= closed[1]
    for tile in plan.tiles:
        window = cut(canvas, plan, tile)[0]
        for axis, length in enumerate((height, width)):
            if closed[axis]:
                steps = window[axis].diff(dim=axis) % length
                assert (steps == 1 % length).all()


@given(st.sampled_from(WRAPPING), st.integers(8, 150), st.integers(8, 150), wraps, st.integers(0, STEPS - 1))
def test_cutting_and_assembling_gives_a_ring_back(
    name: str, height: int, width: int, wrap: str, evaluation: int
) -> None:
    plan = plans(name, (height, width), wrap=wrap)[evaluation]
    canvas = torch.randn(1, 2, height, width)
    back = assemble(plan, [(tile, cut(canvas, plan, tile)) for tile in plan.tiles], previous=canvas.clone())
    torch.testing.assert_close(back, canvas, rtol=1e-5, atol=1e-5)


def test_the_mean_on_a_ring_is_over_all_tiles_that_see_a_pixel() -> None:
    """Counted by hand: every tile answers its number, and each pixel is the mean over windows modulo the length."""
    plan = plans("MultiDiffusion", (32, 100), wrap="horizontal", overlap=0.5)[0]
    sums, counts = torch.zeros(100), torch.zeros(100)
    for number, tile in enumerate(plan.tiles):
        for place in range(tile.x.window.start, tile.x.window.stop):
            sums[place % 100] += number
            counts[place % 100] += 1
    answers = [(tile, torch.full((1, 1, *tile.size), float(number))) for number, tile in enumerate(plan.tiles)]
    torch.testing.assert_close(assemble(plan, answers)[0, 0, 0], sums / counts)


@pytest.mark.parametrize("name", WRAPPING)
def test_a_model_that_looks_at_its_neighbours_joins_the_borders(name: str) -> None:
    """Blurring again and again levels a ring out, its two ends too, as far as any other two neighbours.

    Less so where tiles are interleaved: an overlap begins and ends with columns that lie at the border of their tiles.
    """

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(x, (1, 1, 0, 0), mode="replicate")
        return (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 3

    settings = parse_settings({"enabled": True, "method": name, "wrap": "horizontal"})
    denoiser = TiledDenoiser(model, make_method(Request((32, 80), 32, settings, seed=3, steps=60)))
    x = torch.linspace(0, 1, 80).expand(1, 1, 32, 80).contiguous()
    for _ in range(60):
        x = denoiser(x, torch.zeros(1))
        denoiser.next_evaluation()
    row = x[0, 0, 0]
    most = 0.35 if name in ("Latent Swap", "SaFa") else 0.25
    assert (row[0] - row[-1]).abs() < 2.5 * row.diff().abs().max() < most
