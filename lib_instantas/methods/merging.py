"""Merge-Attend-Diffuse (Quattrini et al. 2024): MultiDiffusion's tiles, which attend to each other as one canvas.

The host merges them in every attention layer (`merged_attention`), in the first half of the evaluations: 25 of the
published program's 50.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from lib_instantas.capabilities import Capability
from lib_instantas.methods.direct import Direct
from lib_instantas.methods.options import Overlap, TileSide
from lib_instantas.methods.overlapping import OverlappingGrid, stride_of, uniform
from lib_instantas.methods.registry import STANDALONE_ONLY, Method, Request, register
from lib_instantas.tiling import TilePlan

MERGED = 0.5
"""Share of the evaluations in which tiles attend as one."""


@dataclass(frozen=True)
class MergedGrid:
    """Overlapping tiles that are asked about in one call, and are merged before the evaluation `until`."""

    grid: OverlappingGrid
    until: int

    def plan(self, evaluation: int) -> TilePlan:
        """The same grid at every evaluation."""
        return self._plan

    @cached_property
    def _plan(self) -> TilePlan:
        return replace(self.grid.plan(0), together=True)


@register(
    "Merge-Attend-Diffuse",
    reads=(Overlap, TileSide),
    needs=[Capability.ATTENTION],
    without=["regions", "compose_background", "wrap"],
    seeded=lambda settings: False,
    about=STANDALONE_ONLY,
)
def merge_attend_diffuse(request: Request) -> Method:
    """The grid that the settings describe; a canvas that fits one tile is left to the model."""
    if request.fits_one_tile:
        return Direct(request.canvas)
    grid = OverlappingGrid(request.canvas, request.side, stride_of(request.side, request.settings.overlap), uniform)
    return MergedGrid(grid, int(MERGED * request.steps))
