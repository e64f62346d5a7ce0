"""InstantAS: non-overlapping minimum cover, moved by the bridging schedule (sections 3.1 and 3.2)."""

from __future__ import annotations

from lib_instantas.bridging import BridgedGrid, make_position
from lib_instantas.methods.direct import Direct
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.tiling import axes


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
    )
