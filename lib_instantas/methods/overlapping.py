"""Fixed overlapping grids whose predictions are averaged: MultiDiffusion, Mixture of Diffusers, Guided Fusion."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from lib_instantas.methods.direct import Direct
from lib_instantas.methods.options import Batch, Overlap, TileSide, Wrap
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.tiling import Segment, Size, Span, TilePlan, round_up, tiles_of

Weights = Callable[[Size], Tensor]


@lru_cache(maxsize=32)
def uniform(size: Size) -> Tensor:
    """Every pixel counts the same (MultiDiffusion: Bar-Tal et al. 2023, eq. 5)."""
    return torch.ones(size)


@lru_cache(maxsize=32)
def gaussian(size: Size) -> Tensor:
    """A bell over the tile, variance 0.01 of each side squared (Mixture of Diffusers: Jimenez 2023)."""
    return torch.outer(*(torch.exp(-(_centred(side) ** 2) / (2 * 0.01)) for side in size))


@lru_cache(maxsize=32)
def guided(size: Size) -> Tensor:
    """1 at the tile's centre, falling linearly with the distance to 0 just beyond the corners (GVCF, figure 2).

    Pixel centres never lie on the corner itself, so every weight is positive.
    """
    y, x = (_centred(side) for side in size)
    return 1 - torch.sqrt(y[:, None] ** 2 + x[None, :] ** 2) / math.hypot(0.5, 0.5)


def _centred(side: int) -> Tensor:
    """Pixel centres on one axis from -0.5 to 0.5, the tile's middle at 0."""
    return (torch.arange(side) + 0.5) / side - 0.5


def overlapping_segments(length: int, side: int, stride: int, closed: bool = False) -> tuple[Segment, ...]:
    """Windows of `side` at every `stride` latent pixels at most, spread evenly from border to border.

    On a closed axis they are spread around the ring, at least two of them, and the border lies in the middle of one.
    """
    if closed:
        side, count = min(side, round_up(length)), max(2, math.ceil(length / stride))
        places = (round(i * length / count) - side // 2 for i in range(count))
        return tuple(Segment(Span(start, start + side), Span(start, start + side)) for start in places)
    if length <= side:
        return (Segment(Span(0, length), Span(0, round_up(length))),)
    count = math.ceil((length - side) / stride) + 1
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    return tuple(Segment(Span(start, start + side), Span(start, start + side)) for start in starts)


def overlapping_axes(
    canvas: Size, side: int, stride: int, closed: tuple[bool, bool] = (False, False)
) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """`overlapping_segments` of the vertical and of the horizontal axis."""
    rows, columns = (
        overlapping_segments(length, side, stride, is_closed) for length, is_closed in zip(canvas, closed, strict=True)
    )
    return rows, columns


@dataclass(frozen=True)
class OverlappingGrid:
    """Tiles of one side at a fixed stride, in latent pixels; each pixel is the weighted mean of all that see it."""

    canvas: Size
    side: int
    stride: int
    weights: Weights
    closed: tuple[bool, bool] = (False, False)

    def plan(self, evaluation: int) -> TilePlan:
        """The same grid at every evaluation."""
        return self._plan

    @cached_property
    def _plan(self) -> TilePlan:
        rows, columns = overlapping_axes(self.canvas, self.side, self.stride, self.closed)
        return TilePlan(self.canvas, tiles_of(rows, columns), weights=self.weights, closed=self.closed)


def stride_of(side: int, overlap: float) -> int:
    """Distance between tiles that share `overlap` of their side with the next, latent pixels, at least 1."""
    return max(1, round(side * (1 - overlap)))


def overlapping_grid(request: Request, weights: Weights) -> Method:
    """The grid that the settings describe; a canvas that fits one tile is left to the model."""
    if request.fits_one_tile:
        return Direct(request.canvas)
    stride = stride_of(request.side, request.settings.overlap)
    return OverlappingGrid(request.canvas, request.side, stride, weights, request.settings.wraps_per_axis)


READS = (Overlap, TileSide, Batch, Wrap)


def _register(name: str, weights: Weights) -> None:
    def factory(request: Request) -> Method:
        return overlapping_grid(request, weights)

    register(name, reads=READS, seeded=lambda settings: False, about="overlapping tiles, averaged (slower).")(factory)


_register("MultiDiffusion", uniform)
_register("Mixture of Diffusers", gaussian)
_register("Guided Fusion", guided)
