"""direct: what the model does without any method."""

from __future__ import annotations

from dataclasses import dataclass

from lib_instantas.tiling import Segment, Size, Span, Tile, TilePlan


@dataclass(frozen=True)
class Direct:
    """The canvas as one tile."""

    canvas: Size

    def plan(self, evaluation: int) -> TilePlan:
        """The whole canvas, always."""
        y, x = (Segment(Span(0, length), Span(0, length)) for length in self.canvas)
        return TilePlan(self.canvas, (Tile(y, x),))
