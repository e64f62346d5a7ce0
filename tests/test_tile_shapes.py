"""Shapes, calls and pixels that tiles need, counted from plans."""

from __future__ import annotations

import pytest

from benchmarks.shapes import CANVASES, NATIVE, count, figures_of
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
