"""What lies between the layers: maps in pieces, and the statistics that all pieces of a map share.

The statistics are GroupNorm's over all tiles: per-tile moments, their merging, and the normalisation with them. Source:
ScaleCrafter, appendix A.3 ("we compute the mean and std using all tiles instead of using only current ones").
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor

from lib_instantas.tiling import Size


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

    def contains(self, other: Box) -> bool:
        """Whether all of the other lies in this one."""
        rows = self.top <= other.top and other.bottom <= self.bottom
        return rows and self.left <= other.left and other.right <= self.right

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
    those of the pieces, for the norm that follows, if one does. Inside a residual block `skip` is the map on the path
    around it. Of processes that share the work each has the pieces that it made; `everywhere`: all have all of them.
    """

    size: Size
    channels: int
    pieces: dict[Box, Tensor] = field(default_factory=dict)
    skip: Map | None = None
    moments: dict[Box, Moments] = field(default_factory=dict)
    readers: Counter[Box] = field(default_factory=Counter)
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

    def read(self, window: Box) -> Tensor:
        """The window as one tensor, on the device of the pieces; beyond the border the far side follows.

        A piece itself where the window is one, else a copy.
        """
        if window in self.pieces:
            return self.pieces[window]
        if len(self.pieces) == 1:
            ((box, piece),) = self.pieces.items()
            if box.contains(window):
                return window.of(piece, (box.top, box.left)).clone(memory_format=torch.contiguous_format)
        parts = list(self._parts(window))
        sample = parts[0][0]
        dtype = reduce(wider, (part.dtype for part, _ in parts))
        result = torch.empty((*sample.shape[:-2], *window.size), dtype=dtype, device=sample.device)
        for part, target in parts:
            target.of(result).copy_(part)
        return result

    def overlaps(self, window: Box, box: Box) -> Iterator[tuple[Box, Box]]:
        """What a window, which may reach over the border, sees of a box: each part in the map, and in the window."""
        for top, bottom, y in _overlaps(window.top, window.bottom, self.size[0], box.top, box.bottom):
            for left, right, x in _overlaps(window.left, window.right, self.size[1], box.left, box.right):
                part = Box(top, left, bottom, right)
                yield part, Box(y, x, y + part.size[0], x + part.size[1])

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
            for part, target in self.overlaps(window, box):
                yield part.of(self.pieces[box], (box.top, box.left)), target


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


def wider(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    """The one with more bits; the first if they have the same."""
    return b if torch.finfo(b).bits > torch.finfo(a).bits else a


def sum_in_float(x: Tensor) -> Tensor:
    """The sum of everything, in float32 at least: finite exactly when no element is NaN or infinite."""
    return x.sum(dtype=wider(torch.float32, x.dtype))


@dataclass(frozen=True)
class Moments:
    """Of one tile: number of pixels; per channel mean and sum of squared deviations from it, `[batch, channels]`."""

    count: int
    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Moments:
        """Measure a tile `[batch, channels, height, width]` in float32, or in float64 if it is.

        Centred on the tile's own mean: the plain sum of squares would cancel where the mean is large.
        """
        x = x.to(wider(torch.float32, x.dtype))
        mean = x.mean((-2, -1), keepdim=True)
        deviation = torch.linalg.vector_norm(x - mean, dim=(-2, -1)).square()
        return cls(x.shape[-2] * x.shape[-1], mean.flatten(1), deviation)

    def grouped(self, count: int, near: Tensor) -> Moments:
        """By channel groups, `[batch, count, channels / count]`, the mean told from `near`."""
        mean, deviation = (part.unflatten(1, (count, -1)) for part in (self.mean, self.deviation))
        return Moments(self.count, mean - near, deviation)

    @classmethod
    def merged(cls, a: Moments, b: Moments) -> Moments:
        """Those of two tiles together: the pairwise rule of Chan, Golub and LeVeque (1983)."""
        count = a.count + b.count
        apart = b.mean - a.mean
        mean = a.mean.add(apart, alpha=b.count / count)
        deviation = torch.addcmul(a.deviation + b.deviation, apart, apart, value=a.count * b.count / count)
        return cls(count, mean, deviation)


def group_statistics(tiles: Sequence[Moments], count: int) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of `count` channel groups over all tiles, `[batch, count]` where the tiles are.

    In the tiles' own precision, since not every device has a wider one. So means are told from a value near them, which
    rounds once where they are large, and merged in a tree of pairs, in which rounding grows with the depth only.
    """
    near = tiles[0].mean.unflatten(1, (count, -1))[..., :1]
    merged = [tile.grouped(count, near) for tile in tiles]
    while len(merged) > 1:
        odd = merged[-1:] if len(merged) % 2 else []
        merged = [Moments.merged(*pair) for pair in zip(merged[::2], merged[1::2], strict=False)] + odd
    channels = merged[0]
    mean = channels.mean.mean(-1, keepdim=True)
    variance = (channels.deviation / channels.count + (channels.mean - mean).square()).mean(-1)
    return (near + mean).squeeze(-1), variance


@dataclass(frozen=True)
class SharedNorm:
    """A GroupNorm whose statistics are known: `x * scale + shift`, both `[batch, channels, 1, 1]`."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: torch.nn.GroupNorm, tiles: Sequence[Moments]) -> SharedNorm:
        """Fix the statistics of `norm` to those of all tiles; nothing leaves the device where these were measured."""
        mean, variance = group_statistics(tiles, norm.num_groups)
        per_group = norm.num_channels // norm.num_groups
        scale = (variance + norm.eps).rsqrt().repeat_interleave(per_group, dim=1)
        shift = -mean.repeat_interleave(per_group, dim=1)
        if norm.affine:
            # Wherever a host keeps them (in main memory, in 8 bits): the norm itself is never called.
            weight, bias = (part.detach().to(scale) for part in (norm.weight, norm.bias))
            scale = scale * weight
            shift = torch.addcmul(bias, shift, scale)
        else:
            shift = shift * scale
        return cls(scale.unflatten(-1, (-1, 1, 1)), shift.unflatten(-1, (-1, 1, 1)))

    def __call__(self, x: Tensor, in_place: bool = False) -> Tensor:
        """Normalise; computed in float32 at least and returned in the dtype of `x`, as GroupNorm itself does."""
        if in_place and x.dtype == self.scale.dtype:
            return x.mul_(self.scale).add_(self.shift)
        return torch.addcmul(self.shift, x, self.scale).to(x.dtype)
