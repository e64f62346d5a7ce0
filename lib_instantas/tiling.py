"""Which tiles cover a canvas.

A grid is a list of cuts per axis. Two neighbouring cuts bound a segment: what is kept. It is evaluated on a
window that contains it. A tile is a segment of one axis times one of the other. Exact cover follows from the
cuts alone; the windows only decide how much is computed around what is kept. All lengths are latent pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]
"""(height, width)."""

LATENT_SCALE = 8
"""Image pixels per latent pixel, on each axis."""

GRANULARITY = 8
"""A UNet that halves its input three times wants sides that are multiples of this."""

SMALLEST, LARGEST = 0.75, 1.25
"""Range of a fitted tile's side, as shares of the native side."""

CONTEXT = 4
"""Latent pixels that tiles see around what they keep when seams count: in a run's last evaluations."""

NEAR_TIE = 0.02
"""Grids whose predicted costs differ by less than this share count as equally cheap."""


@dataclass(frozen=True)
class Span:
    """The half-open range [start, stop) on one axis."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Segment:
    """A piece of one axis: `keep` goes into the picture, `window` is what the model sees.

    The window contains what is kept. On an axis that is shorter than its only window, the window reaches beyond
    the canvas and is filled by reflection; on a closed one any window may go around.
    """

    keep: Span
    window: Span


@dataclass(frozen=True)
class Tile:
    """A segment of the vertical axis times one of the horizontal axis."""

    y: Segment
    x: Segment

    @property
    def size(self) -> Size:
        """Height and width of the window the model is asked about."""
        return len(self.y.window), len(self.x.window)


@dataclass(frozen=True)
class TilePlan:
    """The tiles of one evaluation and how their predictions are put together.

    `closed` says which axis is a ring: windows that leave the canvas at one end go on at the other. `shift` is where
    the grid's origin stands on such an axis. `weights` maps a window's size to its weight map [h, w], positive
    everywhere: each pixel is the weighted mean of the tiles that see it. `portions` maps a tile instead to its portion
    of each pixel of its window [h, w]; those of all tiles that see a pixel add up to 1. With neither, cover is exact:
    each pixel comes from the one tile that keeps it. Tiles that belong `together` are asked about in one call.
    """

    canvas: Size
    tiles: tuple[Tile, ...]
    shift: tuple[int, int] = (0, 0)
    weights: Callable[[Size], Tensor] | None = None
    closed: tuple[bool, bool] = (False, False)
    portions: Callable[[Tile], Tensor] | None = None
    together: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether each pixel comes from the one tile that keeps it."""
        return self.weights is None and self.portions is None

    def weight(self, tile: Tile) -> Tensor:
        """What each pixel of the tile's window counts in the mean, [h, w]. Raises ValueError for an exact plan."""
        if self.portions is not None:
            return self.portions(tile)
        if self.weights is None:
            raise ValueError("in a plan of exact cover nothing is averaged")
        return self.weights(tile.size)

    @property
    def computed(self) -> int:
        """Latent pixels the model evaluates for this plan."""
        return sum(h * w for h, w in (tile.size for tile in self.tiles))

    @property
    def uncovered(self) -> float:
        """Share of the canvas that no tile covers: its pixels keep their last prediction."""
        if not self.is_exact:
            return 0.0
        kept = sum(len(tile.y.keep) * len(tile.x.keep) for tile in self.tiles)
        return 1 - kept / (self.canvas[0] * self.canvas[1])

    @property
    def is_whole_canvas(self) -> bool:
        """Whether the plan is the open canvas itself, so that the model can be asked directly."""
        return len(self.tiles) == 1 and self.tiles[0].size == self.canvas and not any(self.closed)


@dataclass(frozen=True)
class Axis:
    """One axis of a grid that has not moved: `cuts` from 0 to the canvas's length, and the tile's `side`.

    `fit` says how long windows are. Native ones are all of that side, and the last one keeps what is left; any others
    share the axis equally. Fitted ones are as long as what they keep needs, uniform ones of `side` or `longer`, fixed
    ones of `side`. Elastic lines that come near one of the `stops`, latent pixels, stand on it.
    """

    cuts: tuple[int, ...]
    side: int
    fit: str = "fitted"
    stops: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Length of the canvas on this axis."""
        return self.cuts[-1]

    @property
    def count(self) -> int:
        """Number of tiles on this axis."""
        return len(self.cuts) - 1

    @cached_property
    def pitch(self) -> float:
        """Distance between neighbouring cuts; one full travel of the grid."""
        return float(self.side) if self.fit == "native" and self.count > 1 else self.length / self.count


def round_up(length: float, multiple: int = GRANULARITY) -> int:
    """The smallest multiple that is not below `length`."""
    return math.ceil(length / multiple) * multiple


def minimum_cover(length: int, side: int) -> int:
    """How many tiles of `side` it takes to cover an axis (InstantAS, section 3.1, eq. 1)."""
    return math.ceil(length / side)


def even_cuts(length: int, count: int) -> tuple[int, ...]:
    """Cuts that share an axis among `count` tiles as equally as whole pixels allow."""
    return tuple(round(i * length / count) for i in range(count + 1))


def segments(cuts: tuple[int, ...], smallest_window: int, closed: bool = False) -> tuple[Segment, ...]:
    """The segments between cuts, each with a window of a multiple of 8 and of at least `smallest_window`.

    A window grows evenly to both sides, at the border of a canvas that is not closed inwards only; there only a
    window that is longer than the whole axis reaches beyond it.
    """
    length = cuts[-1]
    return tuple(windowed(Span(a, b), length, smallest_window, closed) for a, b in pairwise(cuts))


def windowed(keep: Span, length: int, smallest_window: int, closed: bool = False) -> Segment:
    """What is kept on an axis of this length, with the window that `segments` would give it."""
    wanted = max(round_up(len(keep)), round_up(smallest_window if closed else min(smallest_window, length)))
    start = keep.start - (wanted - len(keep)) // 2
    if not closed:
        start = max(0, min(start, length - wanted))
    return Segment(keep, Span(start, start + wanted))


def with_context(segment: Segment, axis_length: int, context: int, closed: bool) -> Segment:
    """The segment with a window that sees at least `context` latent pixels on both sides of what is kept.

    At the border of the canvas it grows inwards only, unless the axis is closed: then it reaches around.
    """
    wanted = max(len(segment.window), len(segment.keep) + 2 * context)
    return windowed(segment.keep, axis_length, wanted, closed)


def tiles_of(rows: tuple[Segment, ...], columns: tuple[Segment, ...]) -> tuple[Tile, ...]:
    """All tiles of a grid, row by row."""
    return tuple(Tile(y, x) for y, x in product(rows, columns))


def native_axis(length: int, native: int) -> Axis:
    """The paper's tiles: all of the native side; where the last sticks out, it is moved inwards (section 3.1)."""
    count = minimum_cover(length, native)
    if count == 1:
        return Axis((0, length), round_up(length), "native")
    return Axis((*range(0, length, native), length), native, "native")


def fixed_axis(length: int, side: int) -> Axis:
    """Tiles of exactly this side: as many as leave each, beside its share of the axis, the pixels it sees around it."""
    if length <= side:
        return Axis((0, length), round_up(length), "fixed")
    room = min(2 * CONTEXT, side // 4)
    return Axis(even_cuts(length, math.ceil(length / (side - room))), side, "fixed")


@dataclass(frozen=True)
class CostModel:
    """Predicted cost of one UNet evaluation of a tile: a linear part and the quadratic part of self-attention.

    `quadratic` is the share of the quadratic part at the native tile, as `python -m benchmarks.cost` measured it on an
    SD 1.5-shaped UNet (two CPU cores, tiles of 384 to 1024 pixels; the fit is within 5 % of every time).
    """

    native: int
    quadratic: float = 0.044

    def __call__(self, size: Size) -> float:
        """Cost of a tile of this height and width; the native tile costs 1."""
        area = size[0] * size[1] / self.native**2
        return (1 - self.quadratic) * area + self.quadratic * area**2


def fitted_axis_candidates(length: int, native: int) -> list[Axis]:
    """Every way to share an axis among tiles of 0.75 to 1.25 of the native side; one tile if that is enough."""
    largest = int(LARGEST * native) // GRANULARITY * GRANULARITY
    smallest = round_up(SMALLEST * native)
    if round_up(length) <= largest:
        return [Axis((0, length), round_up(length))]
    counts = range(math.ceil(length / largest), max(math.ceil(length / largest), length // smallest) + 1)
    return [Axis(even_cuts(length, n), max(smallest, round_up(math.ceil(length / n)))) for n in counts]


def fitted_axes(canvas: Size, native: int, cost: CostModel | None = None) -> tuple[Axis, Axis]:
    """The cheapest grid of fitted tiles; among near ties, the one with the fewest tiles."""
    cost = cost or CostModel(native)
    rows_candidates, columns_candidates = (fitted_axis_candidates(length, native) for length in canvas)
    pairs = list(product(rows_candidates, columns_candidates))
    costs = [rows.count * columns.count * cost((rows.side, columns.side)) for rows, columns in pairs]
    near = [pair for pair, value in zip(pairs, costs, strict=True) if value <= min(costs) * (1 + NEAR_TIE)]
    return min(near, key=lambda pair: pair[0].count * pair[1].count)


def axes(canvas: Size, native: int, fit: str) -> tuple[Axis, Axis]:
    """The grid's vertical and horizontal axis for a canvas, before any movement.

    `fit` is "uniform", "fitted", "native" or "fixed". An axis that fits one tile is never tiled.
    """
    if fit in ("native", "fixed"):
        axis = native_axis if fit == "native" else fixed_axis
        return axis(canvas[0], native), axis(canvas[1], native)
    rows, columns = fitted_axes(canvas, native)
    return replace(rows, fit=fit), replace(columns, fit=fit)
