"""What lies between the layers: maps in pieces, and the norm whose statistics all pieces of a map share.

Source of the norm: ScaleCrafter, appendix A.3 ("we compute the mean and std using all tiles instead of using only
current ones").
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import pairwise

import torch
from torch import Tensor, nn

from lib_instantas.tiling import Size

Axes = tuple[bool, bool]
"""(vertical, horizontal)."""

Moments = tuple[int, Tensor, Tensor]
"""Number of pixels; per channel the mean, and the sum of squared deviations from it."""


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
            return replace(self, bottom=middle), replace(self, top=middle)
        middle = self.left + width // 2
        return replace(self, right=middle), replace(self, left=middle)

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

    Pieces may differ in dtype (one that overflows half precision is kept in float32) and in device. On an axis that is
    to `wrap`, windows go on at its far side. `norm` is the one that follows, if one does. Inside a residual block
    `skip` is the map on the path around it. Of processes that share the work each has the pieces that it made;
    `everywhere`: all have all of them.
    """

    size: Size
    channels: int
    wrap: Axes = (False, False)
    norm: SharedNorm | None = None
    skip: Map | None = None
    pieces: dict[Box, Tensor] = field(default_factory=dict)
    readers: Counter[Box] = field(default_factory=Counter)
    everywhere: bool = False

    @classmethod
    def of(cls, tensor: Tensor, wrap: Axes) -> Map:
        """A map of one piece, which no norm follows."""
        size = (tensor.shape[-2], tensor.shape[-1])
        return cls(size, tensor.shape[1], wrap, pieces={whole(size): tensor}, everywhere=True)

    @property
    def batch(self) -> int:
        """Number of pictures."""
        return next(iter(self.pieces.values())).shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """The widest of the pieces."""
        return reduce(wider, (piece.dtype for piece in self.pieces.values()))

    def write(self, box: Box, parts: Iterable[Tensor]) -> None:
        """Keep a tile's part of this map and, where there is one, of the path around."""
        for written, part in zip((self, self.skip), parts, strict=False):
            if written is not None:
                written.pieces[box] = part

    def reserve(self, window: Box) -> None:
        """Announce a reader; the window must later be given to `release`."""
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
            if box.contains(window):  # which may both reach over the border, as in the fast mode
                return window.of(piece, (box.top, box.left)).clone(memory_format=torch.contiguous_format)
        parts = list(self._parts(window))
        sample = parts[0][0]
        dtype = reduce(wider, (part.dtype for part, _ in parts))
        result = torch.empty((*sample.shape[:-2], *window.size), dtype=dtype, device=sample.device)
        for part, target in parts:
            target.of(result).copy_(part)
        return result

    def normalised(self, x: Tensor, in_place: bool = False) -> Tensor:
        """A part that was read, as the norm that follows gives it."""
        return x if self.norm is None else self.norm(x, in_place)

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


class SharedNorm:
    """A GroupNorm with the statistics of all tiles of a map.

    `moments` has the mean and the sum of squared deviations of each tile, per channel, `[batch, channels]`. Once every
    tile has been measured, each is normalised with those of all.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        self.norm = norm
        self.moments: dict[Box, tuple[Tensor, Tensor]] = {}

    def __call__(self, x: Tensor, in_place: bool = False) -> Tensor:
        """Normalise; computed in float32 at least and returned in the dtype of `x`, as GroupNorm itself does."""
        scale, shift = self._scale_and_shift
        if in_place and x.dtype == scale.dtype:
            return x.mul_(scale).add_(shift)
        return torch.addcmul(shift, x, scale).to(x.dtype)

    def measure(self, box: Box, x: Tensor) -> Tensor:
        """Note the moments of a tile `[batch, channels, height, width]`, in float32 at least; returns the deviations.

        Centred on the tile's own mean: the plain sum of squares would cancel where the mean is large.
        """
        x = x.to(wider(torch.float32, x.dtype))
        mean = x.mean((-2, -1), keepdim=True)
        deviation = torch.linalg.vector_norm(x - mean, dim=(-2, -1)).square()
        self.moments[box] = mean.flatten(1), deviation
        return deviation

    @cached_property
    def _scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Both `[batch, channels, 1, 1]`; nothing leaves the device where the tiles were measured."""
        mean, variance = self._statistics()
        per_group = self.norm.num_channels // self.norm.num_groups
        scale = (variance + self.norm.eps).rsqrt().repeat_interleave(per_group, dim=1)
        shift = -mean.repeat_interleave(per_group, dim=1)
        if self.norm.affine:
            # Wherever a host keeps them (in main memory, in 8 bits): the norm itself is never called.
            weight, bias = (part.detach().to(scale) for part in (self.norm.weight, self.norm.bias))
            scale = scale * weight
            shift = torch.addcmul(bias, shift, scale)
        else:
            shift = shift * scale
        return scale.unflatten(-1, (-1, 1, 1)), shift.unflatten(-1, (-1, 1, 1))

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and (biased) variance of each group of channels over all tiles, `[batch, groups]`.

        In the tiles' own precision, since not every device has a wider one. So means are told from a value near them,
        which rounds once where they are large, and merged in a tree of pairs, in which rounding grows with the depth
        only.
        """
        grouped = (self.norm.num_groups, -1)
        near = next(iter(self.moments.values()))[0].unflatten(1, grouped)[..., :1]
        merged: list[Moments] = [
            (box.area, mean.unflatten(1, grouped) - near, deviation.unflatten(1, grouped))
            for box, (mean, deviation) in self.moments.items()
        ]
        while len(merged) > 1:
            odd = merged[-1:] if len(merged) % 2 else []
            merged = [together(*pair) for pair in zip(merged[::2], merged[1::2], strict=False)] + odd
        ((count, means, deviation),) = merged
        mean = means.mean(-1, keepdim=True)
        variance = (deviation / count + (means - mean).square()).mean(-1)
        return (near + mean).squeeze(-1), variance


def together(a: Moments, b: Moments) -> Moments:
    """The moments of two tiles as of one: the pairwise rule of Chan, Golub and LeVeque (1983)."""
    (count_a, mean_a, deviation_a), (count_b, mean_b, deviation_b) = a, b
    count = count_a + count_b
    apart = mean_b - mean_a
    mean = mean_a.add(apart, alpha=count_b / count)
    deviation = torch.addcmul(deviation_a + deviation_b, apart, apart, value=count_a * count_b / count)
    return count, mean, deviation
