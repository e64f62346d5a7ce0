"""FSTD: non-overlapping tiles at a random offset, nothing wraps (Any-Size-Diffusion, stage II, algorithm 2)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lib_instantas.methods.direct import Direct
from lib_instantas.methods.options import Batch, Fit, TileSide, Wrap
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.tiling import SMALLEST, Axis, Segment, Span, TilePlan, axes, segments, tiles_of, windowed

REACH = 0.5
"""How far the grid may stand from its origin on either side, as a share of a tile: the paper's 32 of 64."""

Offset = Callable[[int, int], float]
"""(evaluation, axis) -> how far the grid stands off its origin, as a share of a tile's side in [-1, 1]."""


def random_offset(seed: int, evaluation: int, axis: int) -> float:
    """Drawn anew at each evaluation from the picture's seed; the first grid stands at its origin."""
    return random.Random(f"FSTD/{seed}/{axis}/{evaluation}").uniform(-REACH, REACH) if evaluation else 0.0


def fixed_offset(evaluation: int, axis: int) -> float:
    """The paper's "implicit & fixed" (table 4): half a tile off at every second evaluation, always the same way."""
    return REACH * (evaluation % 2)


def displaced(axis: Axis, offset: int) -> tuple[Segment, ...]:
    """The grid `offset` latent pixels off its origin: what it leaves at one border, no tile covers.

    A tile that sticks out at the other border is evaluated further in and keeps only its own place.
    """
    ends = (*axis.cuts[1:-1], max(axis.length, axis.cuts[-2] + axis.side))
    smallest = axis.side if axis.fit in ("native", "fixed") else math.ceil(SMALLEST * axis.side)
    places = (_within(start + offset, stop + offset, axis.length) for start, stop in zip(axis.cuts, ends, strict=False))
    return tuple(windowed(place, axis.length, smallest) for place in places if len(place) > 0)


def _within(start: int, stop: int, length: int) -> Span:
    start = min(max(0, start), length)
    return Span(start, max(start, min(stop, length)))


@dataclass(frozen=True)
class DisplacedGrid:
    """A grid that stands somewhere else at each evaluation. An axis that holds one tile stays, unless it is closed.

    On a closed axis the grid moves around the ring, and leaves nothing uncovered. `keeps_latents` says that hosts that
    can, leave the latents as they were where nothing is covered; elsewhere those pixels have their last prediction.
    """

    axes: tuple[Axis, Axis]
    offset: Offset
    closed: tuple[bool, bool] = (False, False)
    keeps_latents: bool = True

    def plan(self, evaluation: int) -> TilePlan:
        """The tiles of one evaluation, counted from 0. The first leaves no pixel uncovered."""
        rows, columns = (self._segments(evaluation, which) for which in (0, 1))
        down, right = (self._offset(evaluation, which) if self.closed[which] else 0 for which in (0, 1))
        canvas = self.axes[0].length, self.axes[1].length
        return TilePlan(canvas, tiles_of(rows, columns), shift=(down, right), closed=self.closed)

    def _offset(self, evaluation: int, which: int) -> int:
        return round(self.offset(evaluation, which) * self.axes[which].side)

    def _segments(self, evaluation: int, which: int) -> tuple[Segment, ...]:
        axis = self.axes[which]
        if axis.count == 1 or self.closed[which]:
            return segments(axis.cuts, axis.side, self.closed[which])
        return displaced(axis, self._offset(evaluation, which))


@register(
    "FSTD",
    reads=(Fit, TileSide, Batch, Wrap),
    about="tiles at a random offset; pixels that no tile covers keep their last value.",
)
def fstd(request: Request) -> Method:
    """The grid that InstantAS would use, displaced at random; a canvas that fits one tile is left to the model."""
    grid = axes(request.canvas, request.side, request.settings.fit)
    wraps = request.settings.wraps_per_axis
    if all(axis.count == 1 for axis in grid) and not any(wraps):
        return Direct(request.canvas)
    return DisplacedGrid(grid, partial(random_offset, request.seed), wraps)
