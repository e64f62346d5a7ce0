"""InstantAS: non-overlapping minimum cover, moved by the bridging schedule (sections 3.1 and 3.2)."""

from __future__ import annotations

from dataclasses import replace

from lib_instantas.bridging import BridgedGrid, Context, Position, golden, halfway, make_position, period
from lib_instantas.methods.direct import Direct
from lib_instantas.methods.options import Batch, Bridging, Fit, Holding, TileSide, Wrap
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.tiling import CONTEXT, Axis, axes, round_up

LAST = 0.1
"""Share of the evaluations that count as the last ones."""

FEW = 8
"""Evaluations of a run that has none to spare for blending seams away (`python -m benchmarks.quality --few`)."""


@register(
    "InstantAS",
    reads=(Bridging, Holding, Fit, TileSide, Batch, Wrap),
    seeded=lambda settings: settings.schedule == "random",
    about="tiles that do not overlap and move at every step.",
)
def instantas(request: Request) -> Method:
    """The grid that the settings describe; a canvas that fits one tile is left to the model."""
    settings = request.settings
    grid = axes(request.canvas, request.side, settings.fit)
    if all(axis.count == 1 for axis in grid) and not any(settings.wraps_per_axis):
        return Direct(request.canvas)
    rows, columns = (replace(axis, stops=at) for axis, at in zip(grid, settings.stops(request.canvas), strict=True))
    return BridgedGrid(
        axes=(rows, columns),
        position=_position(request),
        edges=settings.edges_in_use,
        movement=settings.movement,
        wraps=settings.wraps_per_axis,
        context=_context(settings.fit, request.steps),
        hold=request.per_step if settings.hold else 1,
    )


def whole_canvas(request: Request) -> Method:
    """The canvas as one tile; where it is closed on itself, its border lies elsewhere at each evaluation."""
    wraps = request.settings.wraps_per_axis
    if not any(wraps):
        return Direct(request.canvas)
    rows, columns = (Axis((0, length), round_up(length)) for length in request.canvas)
    return BridgedGrid((rows, columns), golden, ("ring", "ring"), "together", wraps, _context("fitted", request.steps))


def _position(request: Request) -> Position:
    """By the schedule. A grid that stands still on a closed axis stands half a tile off, so that no line is there."""
    settings = request.settings
    stands_still = settings.schedule == "cyclic" and period(settings.gamma) == 1
    if stands_still and any(settings.wraps_per_axis):
        return halfway(settings.wraps_per_axis)
    return make_position(settings.schedule, settings.gamma, request.seed, settings.edges_in_use)


def _context(fit: str, evaluations: int) -> Context:
    """What the last tenth of the evaluations sees, two of them at least; the paper's own tiles see no more than others.

    In a run of few evaluations all of them count as the last, and tiles fade into each other; with "fitted" it is never
    more than half of them, and none fade.
    """
    if fit == "native":
        return Context(evaluations, 0)
    last = max(2, round(LAST * evaluations))
    if fit == "fitted":
        last = min(last, evaluations // 2)
    elif evaluations <= FEW:
        return Context(0, CONTEXT, fades=evaluations)
    return Context(max(0, evaluations - last), CONTEXT if last else 0)
