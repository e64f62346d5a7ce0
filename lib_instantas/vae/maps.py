"""Activation maps that are kept in pieces: what the layers of a tiled autoencoder read from and write to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor

from lib_instantas.tiling import Size
from lib_instantas.vae.norm import Moments, wider


@dataclass(frozen=True)
class Box:
    """A half-open rectangle of map pixels; on a wrapped axis it may reach over the border of its map."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.size[0] * self.size[1]

    def halves(self) -> tuple[Box, Box]:
        """Cut in two across the longer side."""
        height, width = self.size
        if height >= width:
            middle = self.top + height // 2
            return (
                Box(self.top, self.left, middle, self.right),
                Box(middle, self.left, self.bottom, self.right),
            )
        middle = self.left + width // 2
        return (
            Box(self.top, self.left, self.bottom, middle),
            Box(self.top, middle, self.bottom, self.right),
        )

    def of(self, tensor: Tensor, origin: tuple[int, int] = (0, 0)) -> Tensor:
        """This part of a tensor `[..., height, width]` whose first pixel is `origin`, as a view."""
        height, width = self.size
        return tensor.narrow(-2, self.top - origin[0], height).narrow(-1, self.left - origin[1], width)


def whole(size: Size) -> Box:
    """The box of a whole map."""
    return Box(0, 0, *size)


def grid(size: Size, area: int) -> list[Box]:
    """Cut a map into boxes of about equal size, none larger than `area` pixels, as square as the map allows."""
    height, width = size
    side = max(1, math.isqrt(area))
    columns = math.ceil(width / side)
    rows = math.ceil(height / (area // math.ceil(width / columns)))
    return [Box(y0, x0, y1, x1) for y0, y1 in _even_cuts(height, rows) for x0, x1 in _even_cuts(width, columns)]


def _even_cuts(length: int, count: int) -> list[tuple[int, int]]:
    edges = [round(length * i / count) for i in range(count + 1)]
    return list(pairwise(edges))


@dataclass
class Map:
    """A map `[batch, channels, *size]` kept as pieces, each freed after its last reader.

    Pieces may differ in dtype (one that overflows half precision is kept in float32) and in device. `moments` are
    those of the pieces, for the norm that follows, if one does. Where processes share the work, each has the pieces
    that it made, and for as long as it reads them what it has `borrowed`; `everywhere`: all of them have the whole map.
    """

    size: Size
    channels: int
    pieces: dict[Box, Tensor] = field(default_factory=dict)
    moments: dict[Box, Moments] = field(default_factory=dict)
    readers: Counter[Box] = field(default_factory=Counter)
    borrowed: set[Box] = field(default_factory=set)
    everywhere: bool = False

    @classmethod
    def of(cls, tensor: Tensor) -> Map:
        """A map of one piece."""
        size = (tensor.shape[-2], tensor.shape[-1])
        return cls(size, tensor.shape[1], {whole(size): tensor}, everywhere=True)

    @property
    def batch(self) -> int:
        """Number of pictures."""
        return next(iter(self.pieces.values())).shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """The widest of the pieces."""
        return reduce(wider, (piece.dtype for piece in self.pieces.values()))

    def reserve(self, windows: Iterable[Box]) -> None:
        """Announce who is going to read; each of these windows must later be given to `release` once."""
        for window in windows:
            self.readers.update(self._touched(window))

    def release(self, window: Box) -> None:
        """One announced reader is done: free the pieces that nobody else waits for."""
        for box in self._touched(window):
            self.readers[box] -= 1
            if self.readers[box] <= 0:
                del self.pieces[box], self.readers[box]

    def drop_unread(self) -> None:
        """Free the pieces that nobody has announced to read."""
        for box in self.pieces.keys() - self.readers.keys():
            del self.pieces[box]

    def give_back(self) -> None:
        """Free what is left of what was borrowed."""
        for box in self.borrowed & self.pieces.keys():
            del self.pieces[box]
        self.borrowed.clear()

    def inside(self, window: Box, box: Box) -> list[Box]:
        """The parts of a box that a window sees, which may reach over the border."""
        rows, columns = (
            [(max(a, low), min(b, high)) for a, b, _ in _unwrapped(start, stop, length) if max(a, low) < min(b, high)]
            for start, stop, length, low, high in (
                (window.top, window.bottom, self.size[0], box.top, box.bottom),
                (window.left, window.right, self.size[1], box.left, box.right),
            )
        )
        return [Box(top, left, bottom, right) for top, bottom in rows for left, right in columns]

    def read(self, window: Box) -> Tensor:
        """The window as one tensor, on the device of the pieces; beyond the border the far side follows."""
        if window in self.pieces:
            return self.pieces[window]
        parts = list(self._parts(window))
        sample = parts[0][0]
        dtype = reduce(wider, (part.dtype for part, _ in parts))
        result = torch.empty((*sample.shape[:-2], *window.size), dtype=dtype, device=sample.device)
        for part, target in parts:
            target.of(result).copy_(part)
        return result

    def move_to(self, device: torch.device) -> None:
        """Keep all pieces on this device from now on."""
        for box, piece in self.pieces.items():
            self.pieces[box] = piece.to(device)

    def keeps(self, tensor: Tensor) -> bool:
        """Whether a tensor that was read is a piece itself, not a copy."""
        return any(tensor is piece for piece in self.pieces.values())

    def _touched(self, window: Box) -> list[Box]:
        rows = list(_unwrapped(window.top, window.bottom, self.size[0]))
        columns = list(_unwrapped(window.left, window.right, self.size[1]))
        return [
            box
            for box in self.pieces
            if any(box.top < stop and start < box.bottom for start, stop, _ in rows)
            and any(box.left < stop and start < box.right for start, stop, _ in columns)
        ]

    def _parts(self, window: Box) -> Iterator[tuple[Tensor, Box]]:
        """What the pieces hold of the window, and where in the window that lies."""
        for box in self._touched(window):
            for top, bottom, y in _overlaps(window.top, window.bottom, self.size[0], box.top, box.bottom):
                for left, right, x in _overlaps(window.left, window.right, self.size[1], box.left, box.right):
                    source = Box(top, left, bottom, right)
                    target = Box(y, x, y + source.size[0], x + source.size[1])
                    yield source.of(self.pieces[box], (box.top, box.left)), target


def _unwrapped(start: int, stop: int, length: int) -> Iterator[tuple[int, int, int]]:
    """[start, stop) cut where it crosses a border: (start, stop) inside [0, length), and its place in the result."""
    position = start
    while position < stop:
        inside = position % length
        step = min(stop - position, length - inside)
        yield inside, inside + step, position - start
        position += step


def _overlaps(start: int, stop: int, length: int, low: int, high: int) -> Iterator[tuple[int, int, int]]:
    """Where [start, stop), wrapped into [0, length), meets [low, high): (start, stop) and its place in the result."""
    for first, last, target in _unwrapped(start, stop, length):
        begin, end = max(first, low), min(last, high)
        if begin < end:
            yield begin, end, target + begin - first


@dataclass
class Paths:
    """What lies between two layers: the main path and, inside a residual block, the path around it."""

    main: Map
    skip: Map | None = None
