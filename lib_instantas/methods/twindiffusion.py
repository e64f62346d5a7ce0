"""TwinDiffusion (Zhou and Tang 2024): overlapping tiles that are made alike from left to right, at two places in turn.

Crop Fusion: in the first half of the steps, where a view overlaps the one before it, it becomes what is closest to that
one's values and to its own, which is (before + lambda own) / (1 + lambda); then the views are averaged. Cross Sampling:
at every second step all views but the first and the last stand half a stride further on. The paper fuses the views'
stepped latents. A deterministic step of a sampler maps each pixel by itself, so that fused predictions, stepped, are
the same; and as each view is fused with the one before it, which is fused already, a pixel ends as a mean of the
predictions that is known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lib_instantas.methods.direct import Direct
from lib_instantas.methods.overlapping import READS, overlapping_axes, stride_of, uniform
from lib_instantas.methods.portions import portioned
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.tiling import Segment, Size, Span, TilePlan, tiles_of

LAMBDA = 1.0
"""How much its own values count to a view beside those of the one before it."""

FUSED = 0.5
"""Share of the evaluations that fuse crops; the others only average them."""


def fused(since: int, windows: Sequence[int]) -> list[float]:
    """The mean of the windows that see a place, each fused with the one before it."""
    after: list[list[float]] = []
    for turn, window in enumerate(windows):
        own = [float(other == turn) for other in range(len(windows))]
        if turn and window == windows[turn - 1] + 1:
            own = [(before + LAMBDA * mine) / (1 + LAMBDA) for before, mine in zip(after[-1], own, strict=True)]
        after.append(own)
    return [sum(of_window) / len(windows) for of_window in zip(*after, strict=True)]


def crossed(segments: tuple[Segment, ...], closed: bool) -> tuple[Segment, ...]:
    """Half a stride further on, but for those at the borders of an open axis; never so far that a gap is left there."""
    if len(segments) < 2:
        return segments
    stride = segments[1].window.start - segments[0].window.start
    by = stride // 2 if closed else min(stride // 2, segments[0].window.stop - segments[1].window.start)
    moved = tuple(_moved(segment, by) for segment in segments)
    return moved if closed else (segments[0], *moved[1:-1], segments[-1])


def _moved(segment: Segment, by: int) -> Segment:
    window = Span(segment.window.start + by, segment.window.stop + by)
    return Segment(window, window)


@dataclass(frozen=True)
class TwinGrid:
    """Tiles of one side at a stride, in latent pixels, for a run of so many evaluations.

    The paper's panoramas are one row of tiles. Where there are several, rows are fused and crossed as columns are.
    """

    canvas: Size
    side: int
    stride: int
    evaluations: int
    closed: tuple[bool, bool] = (False, False)

    def plan(self, evaluation: int) -> TilePlan:
        """The tiles of one evaluation, counted from 0."""
        is_crossed, only_averages = evaluation % 2, evaluation >= int(FUSED * self.evaluations)
        return self.plans[2 * is_crossed + only_averages]

    @cached_property
    def plans(self) -> tuple[TilePlan, ...]:
        """Fused and averaged, then both of the crossed grid."""
        axes = overlapping_axes(self.canvas, self.side, self.stride, self.closed)
        twins = [crossed(segments, closed) for segments, closed in zip(axes, self.closed, strict=True)]
        return tuple(plan(rows, columns) for rows, columns in (axes, twins) for plan in (self._fused, self._averaged))

    def _fused(self, rows: tuple[Segment, ...], columns: tuple[Segment, ...]) -> TilePlan:
        return portioned(self.canvas, rows, columns, self.closed, fused)

    def _averaged(self, rows: tuple[Segment, ...], columns: tuple[Segment, ...]) -> TilePlan:
        return TilePlan(self.canvas, tiles_of(rows, columns), weights=uniform, closed=self.closed)


@register(
    "TwinDiffusion",
    reads=READS,
    seeded=lambda settings: False,
    about="overlapping tiles, averaged and made alike from left to right (slower).",
)
def twin_diffusion(request: Request) -> Method:
    """The grid that the settings describe; a canvas that fits one tile is left to the model."""
    if request.fits_one_tile:
        return Direct(request.canvas)
    stride = stride_of(request.side, request.settings.overlap)
    return TwinGrid(request.canvas, request.side, stride, request.steps, request.settings.wraps_per_axis)
