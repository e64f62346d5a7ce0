"""What portion of each pixel comes from which tile, where that depends on the tiles' places: one axis at a time.

On one axis, each place is seen by some windows, one after the other. A rule says what portion each of them has there.
In a grid of rows and columns a tile has the product of its portions on both axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lib_instantas.fusion import visible
from lib_instantas.tiling import Segment, Size, Tile, TilePlan, tiles_of

Rule = Callable[[int, Sequence[int]], Sequence[float]]
"""(places since these windows began to overlap, from 0; the windows that see a place, in order) -> their portions.

Windows are counted along the axis.
"""

Portions = tuple[tuple[float, ...], ...]
"""For each segment, the portion of each place of its window."""


def axis_portions(segments: Sequence[Segment], length: int, closed: bool, rule: Rule) -> Portions:
    """The portions that a rule gives to the windows of one axis. What lies beyond an open axis has none."""
    seen = _seen(segments, length, closed)
    portions = [[0.0] * len(segment.window) for segment in segments]
    for at, since in zip(seen, _since(seen, closed), strict=True):
        for (index, inside), portion in zip(at, rule(since, [index for index, _ in at]), strict=True):
            portions[index][inside] = portion
    return tuple(map(tuple, portions))


@dataclass(frozen=True)
class Alone:
    """A place of an axis that one window alone sees: where it is in that window, and how many such lie before it."""

    inside: int
    since: int


def seen_alone(segments: Sequence[Segment], length: int, closed: bool) -> tuple[Alone | None, ...]:
    """For each place of an axis, how one window alone sees it; None where several do."""
    seen = _seen(segments, length, closed)
    return tuple(
        Alone(at[0][1], since) if len(at) == 1 else None for at, since in zip(seen, _since(seen, closed), strict=True)
    )


Seen = list[list[tuple[int, int]]]
"""For each place of an axis, the windows that see it, each as its index and the place within it."""


def _seen(segments: Sequence[Segment], length: int, closed: bool) -> Seen:
    seen: Seen = [[] for _ in range(length)]
    for index, segment in enumerate(segments):
        for places, inside in visible(segment, length, closed):
            for offset in range(len(places)):
                seen[places.start + offset].append((index, inside.start + offset))
    return seen


def _since(seen: Seen, closed: bool) -> list[int]:
    """How many places before each are seen by just the same windows; on a closed axis around its border too."""
    windows = [[index for index, _ in at] for at in seen]
    since = [0] * len(windows)
    for place in range(1, len(windows)):
        since[place] = since[place - 1] + 1 if windows[place] == windows[place - 1] else 0
    if closed and windows[0] == windows[-1] and since[-1] + 1 < len(windows):
        for place in range(since.index(0, 1)):
            since[place] += since[-1] + 1
    return since


@dataclass(frozen=True)
class GridPortions:
    """The portions of a grid's tiles: for its rows and its columns, the segments and their portions."""

    rows: tuple[Segment, ...]
    columns: tuple[Segment, ...]
    of_rows: Portions
    of_columns: Portions

    def __call__(self, tile: Tile) -> Tensor:
        """Of one tile, for each pixel of its window [h, w]."""
        return torch.outer(self._rows[tile.y], self._columns[tile.x])

    @cached_property
    def _rows(self) -> dict[Segment, Tensor]:
        return {segment: torch.tensor(of_it) for segment, of_it in zip(self.rows, self.of_rows, strict=True)}

    @cached_property
    def _columns(self) -> dict[Segment, Tensor]:
        return {segment: torch.tensor(of_it) for segment, of_it in zip(self.columns, self.of_columns, strict=True)}


def portioned(
    canvas: Size, rows: tuple[Segment, ...], columns: tuple[Segment, ...], closed: tuple[bool, bool], rule: Rule
) -> TilePlan:
    """The plan of a grid whose tiles have the portions that a rule gives them on each axis."""
    of_rows, of_columns = (
        axis_portions(segments, length, is_closed, rule)
        for segments, length, is_closed in zip((rows, columns), canvas, closed, strict=True)
    )
    portions = GridPortions(rows, columns, of_rows, of_columns)
    return TilePlan(canvas, tiles_of(rows, columns), closed=closed, portions=portions)
