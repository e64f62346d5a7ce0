"""How large a grid would be, found out without laying it: one of millions of tiles takes minutes and gigabytes."""

from __future__ import annotations

from dataclasses import replace

from lib_instantas.methods import Request
from lib_instantas.summary import Summary, summarise


def tile_count(request: Request) -> int:
    """Tiles of the first evaluation, from one row and one column of them.

    It is exact but for the fitted grids of InstantAS and FSTD, which weigh both axes together: there it may be a few
    tiles off on a side.
    """
    column, row = _axes(request)
    return column.tiles_per_step * row.tiles_per_step


def _axes(request: Request) -> tuple[Summary, Summary]:
    """The canvas's first column of tiles and its first row, each as a canvas of its own that is one tile across."""
    (height, width), side = request.canvas, request.side
    return (
        summarise(replace(request, canvas=(height, min(side, width)), steps=1)),
        summarise(replace(request, canvas=(min(side, height), width), steps=1)),
    )
