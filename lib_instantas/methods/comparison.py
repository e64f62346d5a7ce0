"""The tiles of methods that need more than tiles: SyncDiffusion and ElasticDiffusion, for comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lib_instantas.capabilities import Capability
from lib_instantas.methods.direct import Direct
from lib_instantas.methods.options import Batch, Overlap, TileSide
from lib_instantas.methods.overlapping import READS, overlapping_grid, stride_of, uniform
from lib_instantas.methods.registry import STANDALONE_ONLY, Method, Request, register
from lib_instantas.tiling import Size, TilePlan, even_cuts, segments, tiles_of


@dataclass(frozen=True)
class ContextGrid:
    """Small tiles that do not overlap, each evaluated in the middle of a window of the native side."""

    canvas: Size
    side: int
    stride: int

    def plan(self, evaluation: int) -> TilePlan:
        """The same grid at every evaluation."""
        rows, columns = (
            segments(even_cuts(length, self._count(length)), self.side if length > self.side else length)
            for length in self.canvas
        )
        return TilePlan(self.canvas, tiles_of(rows, columns))

    def _count(self, length: int) -> int:
        return 1 if length <= self.side else math.ceil(length / self.stride)


@register(
    "SyncDiffusion",
    reads=READS,
    needs=[Capability.GRADIENTS],
    without=["regions", "compose_background"],
    seeded=lambda settings: False,
    about=STANDALONE_ONLY,
)
def sync_diffusion(request: Request) -> Method:
    """MultiDiffusion's tiles; the host pulls each towards one of them before every step (Lee et al. 2023)."""
    return overlapping_grid(request, uniform)


@register(
    "ElasticDiffusion",
    reads=(Overlap, TileSide, Batch),
    needs=[Capability.SECOND_PICTURE],
    without=["regions", "compose_background", "wrap"],
    seeded=lambda settings: False,
    about=STANDALONE_ONLY,
)
def elastic_diffusion(request: Request) -> Method:
    """Tiles with context for the unconditional part; the host adds the prompt's from a small picture of the whole."""
    if request.fits_one_tile:
        return Direct(request.canvas)
    return ContextGrid(request.canvas, request.side, stride_of(request.side, request.settings.overlap))
