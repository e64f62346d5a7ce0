"""Shapes, calls and pixels that tiles need, counted from plans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.shapes import CANVASES, NATIVE, count, figures_of
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import EDGES, parse_settings
from lib_instantas.tiling import Segment, Span, Tile, TilePlan


def plan_of(*widths: int) -> TilePlan:
    """A row of tiles of these widths on a canvas of 8x32."""
    tall = Segment(Span(0, 8), Span(0, 8))
    return TilePlan((8, 32), tuple(Tile(tall, Segment(Span(0, 1), Span(0, width))) for width in widths))


def test_shapes_count_once_a_run_and_calls_once_an_evaluation() -> None:
    plans = [plan_of(16, 16), plan_of(8, 16, 16), plan_of(8, 24), plan_of(32)]
    assert count(plans) == {"shapes": 4, "calls": 6 / 4, "computed": (32 + 40 + 32 + 32) / (4 * 32)}


@pytest.mark.parametrize(("size", "model"), CANVASES)
def test_the_papers_tiles_are_of_one_shape(size: str, model: str) -> None:
    figures = figures_of(size, NATIVE[model], {"fit": "native", "edges": "ring"})
    assert figures == {"shapes": 1, "calls": 1.0, "computed": 1.0}


@pytest.mark.parametrize(("size", "model"), CANVASES)
def test_the_default_needs_few_shapes_and_calls(size: str, model: str) -> None:
    rows, columns = (int(side) // (8 * NATIVE[model]) for side in reversed(size.split("x")))
    figures = figures_of(size, NATIVE[model], {})
    assert figures["shapes"] <= 4
    assert figures["calls"] <= 2
    assert figures["computed"] <= (1.02 if rows == 1 else 1.09 if min(rows, columns) >= 4 else 1.13)


@given(st.tuples(st.integers(64, 400), st.integers(64, 400)), st.sampled_from([32, 64, 96, 128]), st.integers(1, 60))
def test_at_any_size_the_default_needs_few_shapes(canvas: tuple[int, int], native: int, steps: int) -> None:
    method = make_method(Request(canvas, native, parse_settings({}), steps=steps))
    figures = count([method.plan(evaluation) for evaluation in range(steps)])
    assert figures["shapes"] <= 4
    assert figures["calls"] <= 2


@given(
    st.tuples(st.integers(64, 400), st.integers(64, 400)),
    st.sampled_from([64, 96, 128]),
    st.sampled_from(EDGES),
    st.sampled_from(["golden", "cyclic", "random"]),
    st.integers(1, 30),
)
def test_fixed_tiles_have_one_shape(canvas: tuple[int, int], side: int, edges: str, schedule: str, steps: int) -> None:
    settings = parse_settings({"fit": "fixed", "tile": 8 * side, "edges": edges, "schedule": schedule})
    plans = [make_method(Request(canvas, 64, settings, steps=steps)).plan(e) for e in range(steps)]
    shapes = {tile.size for plan in plans for tile in plan.tiles}
    assert shapes == {tuple(min(side, -(-length // 8) * 8) for length in canvas)} or max(canvas) <= side
    assert len(shapes) == 1


def test_fixed_tiles_see_around_what_they_keep_at_the_end() -> None:
    for edges in ("elastic", "sway", "ring"):
        plan = make_method(Request((256, 256), 64, parse_settings({"fit": "fixed", "edges": edges}))).plan(19)
        for tile in plan.tiles:
            for segment in (tile.y, tile.x):
                keep, seen, closed = segment.keep, segment.window, edges != "elastic"
                assert closed or keep.start == 0 or keep.start - seen.start >= 4
                assert closed or keep.stop == 256 or seen.stop - keep.stop >= 4
                assert not closed or min(keep.start - seen.start, seen.stop - keep.stop) >= 4
