"""DemoFusion (Du et al. 2024): the picture is made small, enlarged and made anew, phase by phase.

In each phase the local paths are MultiDiffusion's tiles, shaken a little at each evaluation; here are their plans, and
the sizes of the phases. The rest is the host's (`hosts.upscaling_phases`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from lib_instantas.capabilities import Capability
from lib_instantas.methods.direct import Direct
from lib_instantas.methods.options import Batch, Overlap, TileSide
from lib_instantas.methods.overlapping import overlapping_axes, stride_of, uniform
from lib_instantas.methods.registry import STANDALONE_ONLY, Method, Request, register
from lib_instantas.tiling import GRANULARITY, Segment, Size, Span, Tile, TilePlan, round_up, tiles_of


def phases(canvas: Size, side: int) -> tuple[Size, ...]:
    """The canvases of the phases, latent pixels: the first of about the native side, the n-th n times as high and wide.

    The last is the canvas itself, the others have sides that are multiples of 8.
    """
    count = 1 if max(canvas) <= side else max(2, round(max(canvas) / side))
    smaller = ((_part(canvas[0], n, count), _part(canvas[1], n, count)) for n in range(1, count))
    return (*smaller, canvas)


def _part(length: int, number: int, count: int) -> int:
    return round_up(length * number / count, GRANULARITY)


@dataclass(frozen=True)
class ShakenGrid:
    """Overlapping tiles, each shaken at each evaluation by up to a quarter of what it has in common with the next.

    Those at a border of the canvas stay there.
    """

    canvas: Size
    side: int
    stride: int
    seed: int

    def plan(self, evaluation: int) -> TilePlan:
        """The tiles of one evaluation, counted from 0."""
        rows, columns = overlapping_axes(self.canvas, self.side, self.stride)
        reach = (self.side - self.stride) // 4
        drawn = random.Random(f"DemoFusion/{self.seed}/{evaluation}")

        def shaken(segment: Segment, length: int) -> Segment:
            if segment.window.start <= 0 or segment.window.stop >= length:
                return segment
            by = drawn.randint(-reach, reach)
            start = min(max(0, segment.window.start + by), length - self.side)
            return Segment(Span(start, start + self.side), Span(start, start + self.side))

        tiles = tuple(
            Tile(shaken(tile.y, self.canvas[0]), shaken(tile.x, self.canvas[1])) for tile in tiles_of(rows, columns)
        )
        return TilePlan(self.canvas, tiles, weights=uniform)


@register(
    "DemoFusion",
    reads=(Overlap, TileSide, Batch),
    needs=[Capability.LATENTS],
    without=["regions", "compose_background", "wrap", "compose", "style_alignment"],
    about=STANDALONE_ONLY,
)
def demofusion(request: Request) -> Method:
    """The local paths of the last phase; a canvas that fits one tile is left to the model."""
    if request.fits_one_tile:
        return Direct(request.canvas)
    stride = stride_of(request.side, request.settings.overlap)
    return ShakenGrid(request.canvas, request.side, stride, request.seed)
