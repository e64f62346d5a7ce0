"""What happens where the moved grid meets the border of the picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from lib_instantas.tiling import GRANULARITY, SMALLEST, Axis, Segment, Span, segments, windowed, with_context

REACH = 0.25
"""How far the lines of elastic and swaying grids move to either side of their places, as a share of the distance
between lines."""

ROOM = {"elastic": 2 * REACH, "clamp": 1.0, "ring": 1.0, "sway": 2 * REACH}
"""The room that lines travel in, as a share of the distance between them: at its one end they go on from the other."""

OF_ONE_OR_TWO_LENGTHS = ("uniform", "fixed")
"""Fits whose windows all have the axis's side; uniform ones may have a longer one too."""


@dataclass(frozen=True)
class MovedAxis:
    """One axis of the grid as it stands at an evaluation, `offset` latent pixels from where it began.

    `shift` is that same offset where the canvas itself moves under the grid (ring, sway), 0 where only the lines do.
    `closed` says whether the axis is a ring, wherever it stands.
    """

    segments: tuple[Segment, ...]
    offset: int = 0
    shift: int = 0
    closed: bool = False


def ring(axis: Axis, position: float, context: int = 0) -> MovedAxis:
    """The canvas is closed on itself and the whole grid moves along it, as in the paper.

    A ring has no border, so windows grow to both sides; a native grid's last tile is moved inwards all the same.
    """
    return _around(axis, round(position * axis.pitch), context)


def sway(axis: Axis, position: float, context: int = 0) -> MovedAxis:
    """A ring whose grid goes to and fro: no line is further from its place than a quarter of a tile.

    Lines that travel all around cross the middle of every tile, where the picture has its own edges.
    """
    return _around(axis, _to_and_fro(position, REACH * axis.pitch), context)


def clamp(axis: Axis, position: float, context: int = 0) -> MovedAxis:
    """Nothing wraps: the grid moves under the canvas, and one more tile fills what it leaves at the start."""
    offset = round(position * axis.pitch)
    inner = (cut + offset for cut in axis.cuts if 0 < cut + offset < axis.length)
    return MovedAxis(_segments(axis, (0, *inner, axis.length), context), offset)


def elastic(axis: Axis, position: float, context: int = 0) -> MovedAxis:
    """Nothing wraps and nothing is added: only the inner lines move, by a quarter of a tile to either side at most.

    The border tiles take what is left. The longer windows of a uniform grid have room for that travel; the lines of a
    fixed one go no further than its windows allow. A native grid's last tile may be narrower than that travel: then the
    lines stop one pixel before the border. A line that comes near one of the axis's `stops` stands on it.
    """
    reach = REACH * axis.pitch
    longer = _longer(axis, round(REACH * axis.side))
    if axis.fit in OF_ONE_OR_TWO_LENGTHS:
        reach = max(0, min(reach, longer - context - math.ceil(axis.pitch)))
    offset = min(_to_and_fro(position, reach), axis.cuts[-1] - axis.cuts[-2] - 1)
    inner = _stopped([cut + offset for cut in axis.cuts[1:-1]], axis, axis.pitch + reach)
    smallest = math.ceil(SMALLEST * axis.side) if axis.fit == "fitted" else axis.side
    return MovedAxis(_segments(axis, (0, *inner, axis.length), context, smallest, longer=longer), offset)


def _stopped(lines: list[int], axis: Axis, longest: float) -> list[int]:
    """Each line on the nearest stop less than a quarter of a tile away, if no tile keeps more than `longest` then."""
    for index, line in enumerate(lines):
        near = [stop for stop in axis.stops if abs(stop - line) < REACH * axis.pitch]
        if not near:
            continue
        stop = min(near, key=lambda place: abs(place - line))
        before = lines[index - 1] if index else 0
        after = lines[index + 1] if index + 1 < len(lines) else axis.length
        if 0 < stop - before <= max(longest, line - before) and 0 < after - stop <= max(longest, after - line):
            lines[index] = stop
    return lines


def _to_and_fro(position: float, reach: float) -> int:
    """Where a line stands in its room: at its place at 0, and half the room on furthest from it."""
    return round(((position + 0.5) % 1 - 0.5) * 2 * reach)


def _around(axis: Axis, offset: int, context: int) -> MovedAxis:
    seen = _segments(axis, axis.cuts, context, closed=True)
    return MovedAxis(seen, offset, shift=offset % axis.length, closed=True)


def _longer(axis: Axis, spare: int = GRANULARITY) -> int:
    """Length of a uniform grid's longer windows: `spare` latent pixels more, in steps of 8. Others have none."""
    return axis.side + (max(GRANULARITY, spare // GRANULARITY * GRANULARITY) if axis.fit == "uniform" else 0)


def _segments(
    axis: Axis,
    cuts: tuple[int, ...],
    context: int,
    smallest: int | None = None,
    closed: bool = False,
    longer: int | None = None,
) -> tuple[Segment, ...]:
    """The segments between cuts, with `context` pixels around what they keep; `smallest` is a window's least length."""
    if axis.fit in OF_ONE_OR_TWO_LENGTHS:
        kept = [Span(a, b) for a, b in pairwise(cuts)]
        equal = max(map(len, kept)) if closed else 0
        return tuple(_one_of_two(axis, longer or _longer(axis), keep, context, equal) for keep in kept)
    seen = segments(cuts, smallest or axis.side, closed and axis.fit != "native")
    return tuple(with_context(segment, axis.length, context, closed) for segment in seen) if context else seen


def _one_of_two(axis: Axis, longer: int, keep: Span, context: int, equal: int) -> Segment:
    """What is kept with a window of the axis's side, or of the longer one where context asks for it.

    A window at the border needs none beyond it; what it has to spare lies inwards. A closed axis has no border, and
    all its windows are those of the longest segment (`equal`, otherwise 0).
    """
    neighbours = 2 if equal else (keep.start > 0) + (keep.stop < axis.length)
    fits = (equal or len(keep)) + neighbours * context <= axis.side
    return windowed(keep, axis.length, axis.side if fits else longer, closed=equal > 0)


EDGES: dict[str, Callable[[Axis, float, int], MovedAxis]] = {
    "elastic": elastic,
    "clamp": clamp,
    "ring": ring,
    "sway": sway,
}
"""By name: (axis, where the grid stands as a share of the room that lines have, context) -> the moved axis."""
