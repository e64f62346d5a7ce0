"""SaFa, Swap Forward (Dai et al. 2025): tiles that overlap are interleaved column by column, not averaged.

Self-Loop Latent Swap: where a view overlaps the next, columns come from the next one and from itself in turn, the next
one's first (its swap operator, with the interval 1). Reference-Guided Latent Swap: after each of the first 30 % of the
steps every other row of each view's middle, which no other view sees, is that of a reference view, which is made beside
the picture from noise of its own. The paper swaps the views' stepped latents. A deterministic step of a sampler maps
each pixel by itself, so that swapped predictions, stepped, are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lib_instantas.capabilities import Capability
from lib_instantas.methods.direct import Direct
from lib_instantas.methods.overlapping import READS, overlapping_axes, stride_of
from lib_instantas.methods.portions import portioned, seen_alone
from lib_instantas.methods.registry import STANDALONE_ONLY, Method, Request, register
from lib_instantas.tiling import Segment, Size, TilePlan

GUIDED = 0.3
"""Share of the steps after which the reference view is swapped in (the paper's r_guide)."""


def in_turn(since: int, windows: Sequence[int]) -> list[float]:
    """The windows that see a place take turns from place to place, the last one first (the operator W_swap)."""
    turn = len(windows) - 1 - since % len(windows)
    return [float(index == turn) for index in range(len(windows))]


@dataclass(frozen=True)
class ReferenceView:
    """How rows of a view beside the picture come into it: height and width of the view, and what becomes of it.

    For each row and each column of the canvas, the row or column of the view that is swapped in; None where there is
    none.
    """

    size: Size
    rows: tuple[int | None, ...]
    columns: tuple[int | None, ...]


@dataclass(frozen=True)
class InterleavedGrid:
    """Tiles of one side at a fixed stride, in latent pixels; where they overlap, their columns and rows take turns.

    The paper's panoramas are one row of tiles. Where there are several, rows are interleaved as columns are. After a
    share of the steps (`guided`), hosts swap in rows of a reference view.
    """

    canvas: Size
    side: int
    stride: int
    closed: tuple[bool, bool] = (False, False)
    guided: float = 0.0

    def plan(self, evaluation: int) -> TilePlan:
        """The same grid at every evaluation."""
        return self._plan

    @property
    def reference(self) -> ReferenceView:
        """Every other row of what one tile alone sees, from the second on, is that of the reference view."""
        rows, columns = self._axes
        alone, alone_across = (
            seen_alone(segments, length, closed)
            for segments, length, closed in zip((rows, columns), self.canvas, self.closed, strict=True)
        )
        return ReferenceView(
            (len(rows[0].window), len(columns[0].window)),
            tuple(row.inside if row and row.since % 2 else None for row in alone),
            tuple(column.inside if column else None for column in alone_across),
        )

    @cached_property
    def _axes(self) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        return overlapping_axes(self.canvas, self.side, self.stride, self.closed)

    @cached_property
    def _plan(self) -> TilePlan:
        return portioned(self.canvas, *self._axes, self.closed, in_turn)


def _interleaved(request: Request, guided: float) -> Method:
    if request.fits_one_tile:
        return Direct(request.canvas)
    stride = stride_of(request.side, request.settings.overlap)
    return InterleavedGrid(request.canvas, request.side, stride, request.settings.wraps_per_axis, guided)


@register(
    "Latent Swap",
    reads=READS,
    seeded=lambda settings: False,
    about="overlapping tiles, interleaved column by column (slower).",
)
def latent_swap(request: Request) -> Method:
    """Self-Loop Latent Swap alone, the paper's SaFa*: its tiles are all that it needs."""
    return _interleaved(request, 0.0)


@register(
    "SaFa",
    reads=READS,
    needs=[Capability.SECOND_PICTURE],
    without=["regions", "compose_background", "compose"],
    seeded=lambda settings: False,
    about=STANDALONE_ONLY,
)
def safa(request: Request) -> Method:
    """Both swaps; the host makes the reference view."""
    return _interleaved(request, GUIDED)
