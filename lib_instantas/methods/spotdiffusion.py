"""SpotDiffusion (Frolov et al. 2024): windows that do not overlap, rolled to a random place at each evaluation.

Their stride is their side, and the panorama is a ring: a window that leaves it at one end goes on at the other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from lib_instantas.methods.direct import Direct
from lib_instantas.methods.options import Batch, TileSide, Wrap
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.tiling import Axis, TilePlan, axes, segments, tiles_of


@dataclass(frozen=True)
class RolledGrid:
    """The paper's tiles, rolled around the canvas by a shift that is drawn anew at each evaluation.

    An axis that holds one tile stays where it is, unless the picture is `closed` on it. Where the side does not divide
    an axis, the last tile is moved inwards and keeps what is left.
    """

    axes: tuple[Axis, Axis]
    seed: int
    closed: tuple[bool, bool] = (False, False)

    def plan(self, evaluation: int) -> TilePlan:
        """The tiles of one evaluation, counted from 0; the first grid stands at its origin."""
        moves = tuple(axis.count > 1 or closed for axis, closed in zip(self.axes, self.closed, strict=True))
        down, right = (self._shift(evaluation, which) if moves[which] else 0 for which in (0, 1))
        rows, columns = (segments(axis.cuts, axis.side) for axis in self.axes)
        canvas = self.axes[0].length, self.axes[1].length
        return TilePlan(canvas, tiles_of(rows, columns), shift=(down, right), closed=(moves[0], moves[1]))

    def _shift(self, evaluation: int, which: int) -> int:
        """s(t), evenly drawn from all places of the axis."""
        drawn = random.Random(f"SpotDiffusion/{self.seed}/{which}/{evaluation}")
        return drawn.randrange(self.axes[which].length) if evaluation else 0


@register(
    "SpotDiffusion",
    reads=(TileSide, Batch, Wrap),
    about="tiles that do not overlap, rolled around the picture at random.",
)
def spotdiffusion(request: Request) -> Method:
    """Tiles of the native side; a canvas that fits one tile is left to the model."""
    grid = axes(request.canvas, request.side, "native")
    wraps = request.settings.wraps_per_axis
    if all(axis.count == 1 for axis in grid) and not any(wraps):
        return Direct(request.canvas)
    return RolledGrid(grid, request.seed, wraps)
