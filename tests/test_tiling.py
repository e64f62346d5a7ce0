"""Exact cover, minimum cover, and the sizes of tiles."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.fusion import assemble, canvas_scale, cut, reflect
from lib_instantas.methods import NAMES, Request, make_method
from lib_instantas.settings import EDGE_PAIRS, EDGES, Settings, parse_settings
from lib_instantas.tiling import CostModel, TilePlan, fitted_axes, minimum_cover, native_axis, segments

FITS = ("uniform", "fitted", "native", "fixed")
canvases = st.tuples(st.integers(8, 300), st.integers(8, 300))
natives = st.sampled_from([32, 64, 96, 128])


@st.composite
def plans(draw: st.DrawFn) -> TilePlan:
    """A plan of any method, setting, canvas and evaluation."""
    settings = parse_settings(
        {
            "enabled": True,
            "method": draw(st.sampled_from(NAMES)),
            "schedule": draw(st.sampled_from(["golden", "cyclic", "random"])),
            "gamma": draw(st.sampled_from([0.0, 0.015, 0.125, 0.3, 0.5, 1.0])),
            "edges": draw(st.sampled_from([*EDGES, *EDGE_PAIRS])),
            "fit": draw(st.sampled_from(FITS)),
            "movement": draw(st.sampled_from(["alternate", "together"])),
        }
    )
    request = Request(draw(canvases), draw(natives), settings, seed=draw(st.integers(0, 9)))
    return make_method(request).plan(draw(st.integers(0, 60)))


def times_kept(plan: TilePlan) -> torch.Tensor:
    count = torch.zeros(plan.canvas, dtype=torch.int)
    for tile in plan.tiles:
        count[tile.y.keep.start : tile.y.keep.stop, tile.x.keep.start : tile.x.keep.stop] += 1
    return count


@given(plans())
def test_no_pixel_of_an_exact_plan_is_kept_twice(plan: TilePlan) -> None:
    if plan.is_exact:
        assert int(times_kept(plan).max()) == 1


@given(canvases, natives, st.sampled_from(EDGES), st.sampled_from(FITS), st.integers(0, 60))
def test_every_grid_of_instantas_covers_the_canvas_once(
    canvas: tuple[int, int], native: int, edges: str, fit: str, evaluation: int
) -> None:
    settings = parse_settings({"edges": edges, "fit": fit})
    plan = make_method(Request(canvas, native, settings)).plan(evaluation)
    assert (times_kept(plan) == 1).all()


@given(plans())
def test_a_window_contains_what_is_kept_and_stays_on_the_canvas_where_it_can(plan: TilePlan) -> None:
    for tile in plan.tiles:
        axes = zip((tile.y, tile.x), plan.canvas, plan.closed, strict=True)
        for segment, length, closed in axes:
            keep, window = segment.keep, segment.window
            assert window.start <= keep.start < keep.stop <= window.stop
            if not closed:  # on a ring a window may reach around
                assert window.start >= 0
                assert window.stop <= length or len(window) < length + 8


@given(plans())
def test_cutting_and_assembling_gives_the_canvas_back(plan: TilePlan) -> None:
    canvas = torch.randn(2, 3, *plan.canvas)
    back = assemble(plan, [(tile, cut(canvas, plan, tile)) for tile in reversed(plan.tiles)], previous=canvas.clone())
    torch.testing.assert_close(back, canvas, rtol=1e-5, atol=1e-5)


@given(plans())
def test_weights_are_positive_everywhere(plan: TilePlan) -> None:
    if plan.weights is not None:
        assert all((plan.weights(tile.size) > 0).all() for tile in plan.tiles)


@given(canvases, natives)
def test_fitted_tiles_lie_within_their_range_and_on_multiples_of_eight(canvas: tuple[int, int], native: int) -> None:
    for axis in fitted_axes(canvas, native):
        assert axis.side % 8 == 0
        if axis.count > 1:
            assert 0.75 * native <= axis.side <= 1.25 * native
            assert axis.length > 1.25 * native - 8


@given(canvases, natives)
def test_no_axis_is_tiled_that_fits_one_tile(canvas: tuple[int, int], native: int) -> None:
    for axis in (*fitted_axes(canvas, native), *(native_axis(length, native) for length in canvas)):
        if axis.length <= native:
            assert axis.count == 1


@given(st.integers(1, 1000), natives)
def test_the_native_grid_is_the_minimum_cover(length: int, native: int) -> None:
    assert native_axis(length, native).count == math.ceil(length / native) == minimum_cover(length, native)


def test_a_native_last_tile_is_moved_inwards_and_its_doubled_part_dropped() -> None:
    last = segments(native_axis(152, 64).cuts, 64)[-1]
    assert (last.window.start, last.window.stop) == (88, 152)
    assert (last.keep.start, last.keep.stop) == (128, 152)


@pytest.mark.parametrize(
    ("fit", "tiles", "computed"),
    [("native", 6, 24_576), ("fitted", 2, 11_520), ("uniform", 2, 11_520)],
)
def test_the_odd_size_of_the_design_costs_what_it_says(fit: str, tiles: int, computed: int) -> None:
    plan = make_method(Request((66, 152), 64, Settings(fit=fit))).plan(0)
    assert (len(plan.tiles), plan.computed) == (tiles, computed)


@given(st.integers(1, 40), st.integers(-100, 100))
def test_reflection_mirrors_at_the_border_pixel(length: int, position: int) -> None:
    mirrored = [*range(length), *reversed(range(length))]
    assert int(reflect(torch.tensor([position]), length)) == mirrored[position % (2 * length)]


def test_a_hint_at_image_resolution_is_cut_at_eight_times_the_place() -> None:
    plan = make_method(Request((64, 256), 64, Settings(edges="ring"))).plan(3)
    hint = torch.arange(64 * 8 * 256 * 8, dtype=torch.float32).reshape(1, 1, 512, 2048)
    latent = hint[..., ::8, ::8]
    for tile in plan.tiles:
        assert torch.equal(cut(hint, plan, tile)[..., ::8, ::8], cut(latent, plan, tile))


@pytest.mark.parametrize("shape", [(1, 4, 64, 64), (1, 4, 65, 256), (77, 768), (4,)])
def test_a_tensor_elsewhere_is_not_on_the_canvas(shape: tuple[int, ...]) -> None:
    assert canvas_scale(torch.zeros(shape), (64, 256)) is None


@given(st.integers(8, 200), st.integers(8, 200))
def test_the_predicted_cost_grows_with_the_tile(height: int, width: int) -> None:
    cost = CostModel(64)
    assert cost((64, 64)) == pytest.approx(1)
    assert cost((height, width)) < cost((height + 1, width))
