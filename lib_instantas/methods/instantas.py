"""InstantAS: non-overlapping minimum cover, moved by the bridging schedule (sections 3.1 and 3.2)."""

from __future__ import annotations

from lib_instantas.bridging import BridgedGrid, Context, make_position
from lib_instantas.methods.direct import Direct
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.tiling import axes

CONTEXT = 4
"""Latent pixels that the tiles of the last evaluations see around what they keep."""

LAST = 0.1
"""Share of the evaluations that count as the last ones."""


@register("InstantAS")
def instantas(request: Request) -> Method:
    """The grid that the settings describe; a canvas that fits one tile is left to the model."""
    settings = request.settings
    grid = axes(request.canvas, request.side, settings.fit)
    if all(axis.count == 1 for axis in grid) and not any(settings.wraps_per_axis):
        return Direct(request.canvas)
    return BridgedGrid(
        axes=grid,
        position=make_position(settings.schedule, settings.gamma, request.seed),
        edges=settings.edges_per_axis,
        movement=settings.movement,
        wraps=settings.wraps_per_axis,
        context=_context(settings.fit, request.steps),
    )


def _context(fit: str, evaluations: int) -> Context:
    """What the last tenth of the evaluations sees, two of them if there are four; the paper's own tiles see no more."""
    last = 0 if fit == "native" else min(max(2, round(LAST * evaluations)), evaluations // 2)
    return Context(evaluations - last, CONTEXT if last else 0)
