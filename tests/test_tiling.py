"""Exact cover, minimum cover, and the sizes of tiles."""

from __future__ import annotations

import math
from copy import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.fusion import assemble, canvas_scale, cut, reflect
from lib_instantas.methods import NAMES, Request, make_method
from lib_instantas.settings import EDGE_PAIRS, EDGES, Settings, parse_settings
from lib_instantas.tiling import (
    Axis,
    CostModel,
    Segment,
    Size,
    Span,
    Tile,
    TilePlan,
    fitted_axes,
    fitted_axis_candidates,
    fixed_axis,
    minimum_cover,
    native_axis,
    segments,
    windowed,
    with_context,
)

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


def test_the_predicted_cost_has_a_linear_and_a_quadratic_part() -> None:
    assert CostModel(64, quadratic=0.1)((128, 64)) == pytest.approx(0.9 * 2 + 0.1 * 4)
    assert CostModel(64)((128, 128)) == pytest.approx(0.956 * 4 + 0.044 * 16)


@pytest.mark.parametrize(
    ("keep", "length", "smallest", "closed", "window"),
    [
        ((10, 20), 100, 24, False, (3, 27)),
        ((0, 10), 100, 24, False, (0, 24)),
        ((90, 100), 100, 24, False, (76, 100)),
        ((0, 10), 100, 24, True, (-7, 17)),
        ((90, 100), 100, 24, True, (83, 107)),
        ((0, 30), 100, 8, False, (0, 32)),
        ((0, 10), 10, 64, False, (0, 16)),
        ((0, 10), 10, 64, True, (-27, 37)),
    ],
)
def test_a_window_grows_evenly_and_at_an_open_border_inwards(
    keep: tuple[int, int], length: int, smallest: int, closed: bool, window: tuple[int, int]
) -> None:
    assert windowed(Span(*keep), length, smallest, closed) == Segment(Span(*keep), Span(*window))


@pytest.mark.parametrize(("context", "window"), [(0, (7, 23)), (3, (7, 23)), (4, (3, 27)), (8, (-1, 31))])
def test_context_is_seen_on_both_sides_and_makes_no_window_smaller(context: int, window: tuple[int, int]) -> None:
    segment = Segment(Span(10, 20), Span(7, 23))
    assert with_context(segment, 100, context, closed=True).window == Span(*window)
    at_least_on_the_canvas = Span(max(0, window[0]), window[1] - min(0, window[0]))
    assert with_context(segment, 100, context, closed=False).window == at_least_on_the_canvas


@pytest.mark.parametrize(
    ("length", "side", "count"), [(64, 64, 1), (65, 64, 2), (112, 64, 2), (113, 64, 3), (48, 16, 4), (49, 16, 5)]
)
def test_fixed_tiles_leave_room_for_what_they_see_around_them(length: int, side: int, count: int) -> None:
    axis = fixed_axis(length, side)
    assert (axis.count, axis.side, axis.length) == (count, side, length)


def test_a_fixed_tile_of_a_short_axis_is_no_longer_than_the_model_needs() -> None:
    assert fixed_axis(13, 64) == Axis((0, 13), 16, "fixed")


@pytest.mark.parametrize(
    ("length", "found"),
    [
        (80, [(1, 80)]),
        (75, [(1, 80)]),
        (81, [(2, 48)]),
        (160, [(2, 80), (3, 56)]),
        (161, [(3, 56)]),
        (256, [(4, 64), (5, 56)]),
        (288, [(4, 72), (5, 64), (6, 48)]),
    ],
)
def test_fitted_tiles_are_tried_at_every_number_their_range_allows(length: int, found: list[tuple[int, int]]) -> None:
    assert [(axis.count, axis.side) for axis in fitted_axis_candidates(length, 64)] == found


def test_of_grids_that_cost_nearly_the_same_the_one_with_fewest_tiles_is_taken() -> None:
    def counts(canvas: Size, quadratic: float) -> tuple[int, ...]:
        return tuple(axis.count for axis in fitted_axes(canvas, 64, CostModel(64, quadratic)))

    assert counts((64, 288), quadratic=0.0) == (1, 4), "equal work: the fewest"
    assert counts((64, 288), quadratic=0.1) == (1, 6), "10 % in attention: smaller tiles are cheaper by more than a tie"


def test_pitch_is_a_native_tile_or_an_equal_share() -> None:
    assert native_axis(152, 64).pitch == 64
    assert native_axis(50, 64).pitch == 50
    assert Axis((0, 50, 100, 150), 64).pitch == 50


def whole(height: int, width: int) -> Tile:
    return Tile(Segment(Span(0, height), Span(0, height)), Segment(Span(0, width), Span(0, width)))


@pytest.mark.parametrize(
    ("tiles", "closed", "answer"),
    [
        ((whole(16, 24),), (False, False), True),
        ((whole(16, 24),), (False, True), False),
        ((whole(16, 24),), (True, False), False),
        ((whole(8, 32),), (False, False), False),
        ((whole(24, 8),), (False, False), False),
        ((whole(16, 24), whole(16, 24)), (False, False), False),
        ((), (False, False), False),
    ],
)
def test_only_one_tile_of_the_open_canvas_is_the_whole_canvas(
    tiles: tuple[Tile, ...], closed: tuple[bool, bool], answer: bool
) -> None:
    assert TilePlan((16, 24), tiles, closed=closed).is_whole_canvas is answer


def test_the_share_that_no_tile_covers_is_counted_in_pixels() -> None:
    left = (whole(8, 9),)
    assert TilePlan((8, 24), left).uncovered == pytest.approx(15 / 24)
    assert TilePlan((16, 24), left).uncovered == pytest.approx(1 - 72 / 384)
    assert TilePlan((8, 24), left, weights=torch.ones).uncovered == 0


@pytest.mark.parametrize("value", [Span(0, 8), whole(8, 8), whole(8, 8).y, TilePlan((8, 8), ()), Axis((0, 8), 8)])
def test_what_evaluations_share_cannot_be_changed(value: object) -> None:
    """Plans are kept and handed out again: a tile that somebody moves would be moved for all."""
    with pytest.raises(AttributeError, match="cannot assign"):
        setattr(value, next(iter(vars(value))), None)
    assert len({value, copy(value)}) == 1
