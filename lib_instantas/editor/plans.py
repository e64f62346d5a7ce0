"""Where the tile grid stands at each step, as JSON for the page to draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from lib_instantas.methods import Request, make_method
from lib_instantas.outline import tile_count
from lib_instantas.texts import messages
from lib_instantas.tiling import Segment, Span, TilePlan

MAX_STEPS = 150
"""The WebUI's own limit of sampling steps."""

MAX_TILES = 10_000
"""Tiles of a grid that is still planned and drawn: more are no longer told apart on a screen."""

MAX_RECTANGLES = 60_000
"""Rectangles that a response still carries; the steps beyond are left out."""

MAX_PLANNED = 200_000
"""Rectangles that are planned for one response, those of equal grids counted each time."""

Rectangle = tuple[int, int, int, int]
"""(y, x, height, width) in latent pixels of the canvas as one sees it."""

Grid = tuple[tuple[Rectangle, ...], int]
"""What the tiles of a plan keep, and how many tiles there are."""


@dataclass(frozen=True)
class Steps:
    """The distinct plans of a run and, for each step, which of them it uses."""

    plans: tuple[Grid, ...]
    order: tuple[int, ...]


def plan_document(request: Request) -> dict[str, Any]:
    """What the page needs to draw the grid of every step.

    `plans` holds each distinct grid once, as a count of tiles and the rectangles they keep; `steps` names the grid of
    each step. Coordinates are latent pixels. A grid of too many tiles is neither planned nor drawn, only counted, as
    `tile_count` does. `left_out` says in words what is not there because it would be too much,
    and is empty where all is there.
    """
    tiles = tile_count(request)
    steps = _steps(request) if tiles <= MAX_TILES else Steps((((), tiles),), (0,))
    return {
        "canvas": {"height": request.canvas[0], "width": request.canvas[1]},
        "steps": list(steps.order),
        "plans": [{"tiles": count, "rectangles": [list(r) for r in rectangles]} for rectangles, count in steps.plans],
        "left_out": _left_out(tiles, len(steps.order), request.steps),
    }


def _steps(request: Request) -> Steps:
    method = make_method(request)
    seen: dict[Grid, int] = {}
    order: list[int] = []
    carried = planned = 0
    for step in range(min(request.steps, MAX_STEPS)):
        plan = method.plan(step)
        grid = (tuple(kept_rectangles(plan)), len(plan.tiles))
        planned += len(grid[0])
        carried += len(grid[0]) if grid not in seen else 0
        if order and (carried > MAX_RECTANGLES or planned > MAX_PLANNED):
            break
        order.append(seen.setdefault(grid, len(seen)))
    return Steps(tuple(seen), tuple(order))


def _left_out(tiles: int, shown: int, steps: int) -> str:
    if tiles > MAX_TILES:
        return messages.GRID_NOT_DRAWN(most=MAX_TILES)
    if shown < steps:
        return messages.STEPS_NOT_SHOWN(first=shown + 1, last=steps)
    return ""


def kept_rectangles(plan: TilePlan) -> Iterator[Rectangle]:
    """What each tile contributes to, on the canvas as one sees it: a tile across a ring's border comes in pieces."""
    height, width = plan.canvas
    for tile in plan.tiles:
        rows = _unrolled(_shown(tile.y, plan, height), plan.shift[0], height)
        columns = _unrolled(_shown(tile.x, plan, width), plan.shift[1], width)
        for row, column in product(rows, columns):
            yield row.start, column.start, len(row), len(column)


def _shown(segment: Segment, plan: TilePlan, length: int) -> Span:
    """What a tile keeps; where tiles overlap and are averaged, the part of its window on the canvas."""
    if plan.is_exact:
        return segment.keep
    if True in plan.closed and (segment.window.start < 0 or segment.window.stop > length):
        return Span(segment.window.start, segment.window.start + min(length, len(segment.window)))
    return Span(max(0, segment.window.start), min(length, segment.window.stop))


def _unrolled(span: Span, shift: int, length: int) -> tuple[Span, ...]:
    start = (span.start + shift) % length
    stop = start + len(span)
    if stop <= length:
        return (Span(start, stop),)
    return Span(start, length), Span(0, stop - length)
