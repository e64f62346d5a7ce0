"""Shapes on a canvas, brought to a grid of cells exactly by area.

Coordinates are fractions of the canvas, x to the right and y downwards; what lies outside 0..1 is not on the canvas.
The coverage of a cell is the share of its area inside the shape, so a shape keeps its area at every resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lib_instantas.tiling import Size

ROUNDING = 1e-9
"""Means below this are what rounding left of zero."""

NO_OVERLAP = 1e-4
"""Shares of a pixel below this are what rounding in single precision left of none."""

LOWEST_EDGE = 1e-9
"""In cells: an edge this flat has no area to its right worth counting, and too steep a slope to reckon with."""

NARROWEST_FEATHER = 1e-3
"""In cells: a ramp that nobody can see is none."""


@dataclass(frozen=True)
class Crop:
    """A part of a canvas, by its upper left corner and extent as fractions."""

    x: float
    y: float
    width: float
    height: float


class Shape(Protocol):
    """Something that covers part of a canvas."""

    def coverage(self, size: Size) -> Tensor:
        """Share of each cell's area inside the shape, [H, W] in 0..1, double precision."""

    def cropped(self, crop: Crop) -> Shape:
        """The same shape on a canvas that is this crop of the old one."""


@dataclass(frozen=True)
class Rectangle:
    """A box by its upper left corner and its extent."""

    x: float
    y: float
    width: float
    height: float

    def coverage(self, size: Size) -> Tensor:
        """Share of each cell's area inside the box, [H, W]."""
        rows = _covered_cells(self.y, self.y + self.height, size[0])
        columns = _covered_cells(self.x, self.x + self.width, size[1])
        return rows[:, None] * columns[None, :]

    def cropped(self, crop: Crop) -> Rectangle:
        """The same box in the crop's own fractions."""
        x, y = (self.x - crop.x) / crop.width, (self.y - crop.y) / crop.height
        return Rectangle(x, y, self.width / crop.width, self.height / crop.height)


def _covered_cells(start: float, stop: float, length: int) -> Tensor:
    """Length of each of an axis's cells inside [start, stop), which are fractions of the axis."""
    cells = torch.arange(length, dtype=torch.float64)
    return ((cells + 1).clamp(max=stop * length) - cells.clamp(min=start * length)).clamp(min=0)


@dataclass(frozen=True)
class Polygon:
    """A closed outline through at least three points (x, y); where it crosses itself, wound twice is inside too."""

    points: tuple[tuple[float, float], ...]

    def coverage(self, size: Size) -> Tensor:
        """Share of each cell's area inside the outline, [H, W]: the signed areas right of its edges, summed up."""
        height, width = size
        signed = torch.zeros(size, dtype=torch.float64)
        for (x0, y0), (x1, y1) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            _add_area_right_of_edge(signed, (x0 * width, y0 * height), (x1 * width, y1 * height))
        return signed.abs().clamp(max=1)

    def cropped(self, crop: Crop) -> Polygon:
        """The same outline in the crop's own fractions."""
        return Polygon(tuple(((x - crop.x) / crop.width, (y - crop.y) / crop.height) for x, y in self.points))


def _add_area_right_of_edge(signed: Tensor, start: tuple[float, float], stop: tuple[float, float]) -> None:
    """Add to each cell the part of its area right of the edge, counted negative where the edge goes up.

    Within a row the edge runs evenly from `left` to `right`; the mean of clamp(x + 1 - edge, 0, 1) over that run has a
    closed form through the antiderivative of the clamp.
    """
    (x0, y0), (x1, y1), sign = (*start,), (*stop,), 1.0
    if y0 > y1:
        x0, y0, x1, y1, sign = x1, y1, x0, y0, -1.0
    first, last = max(0, int(y0)), min(signed.shape[0], int(max(y1, 0)) + 1)
    if y1 - y0 < LOWEST_EDGE or first >= last:
        return
    rows = torch.arange(first, last, dtype=torch.float64)
    top, bottom = rows.clamp(min=y0), (rows + 1).clamp(max=y1)
    slope = (x1 - x0) / (y1 - y0)
    ends = torch.stack([x0 + (top - y0) * slope, x0 + (bottom - y0) * slope])
    left, right = ends.amin(0)[:, None], ends.amax(0)[:, None]
    column_ends = torch.arange(1, signed.shape[1] + 1, dtype=torch.float64)
    signed[first:last] += sign * (bottom - top).clamp(min=0)[:, None] * _mean_clamp(column_ends, left, right)


def _mean_clamp(stop: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Mean of clamp(stop - e, 0, 1) for e running evenly from left to right."""
    run = right - left
    steep = run < 1e-6
    mean = (_clamp_integral(stop - left) - _clamp_integral(stop - right)) / run.masked_fill(steep, 1)
    return torch.where(steep, (stop - left).clamp(0, 1), mean)


def _clamp_integral(t: Tensor) -> Tensor:
    """Integral of clamp(s, 0, 1) for s up to t."""
    inner = t.clamp(0, 1)
    return inner * inner / 2 + (t - 1).clamp(min=0)


@dataclass(frozen=True, eq=False)
class Mask:
    """A grey-scale picture stretched over the canvas: `values` [h, w] in 0..1, 1 is inside."""

    values: Tensor

    def coverage(self, size: Size) -> Tensor:
        """Mean of the picture over each cell, [H, W]."""
        return area_resample(self.values.double(), size)

    def cropped(self, crop: Crop) -> Mask:
        """The part of the picture in the crop, brought to the picture's own number of pixels."""
        values = self.values.double()
        for dim, start, extent in ((-2, crop.y, crop.height), (-1, crop.x, crop.width)):
            length = values.shape[dim]
            bounds = (start + torch.arange(length + 1, dtype=torch.float64) * extent / length) * length
            values = _range_means(values, bounds[:-1], bounds[1:], dim)
        return Mask(values.to(self.values.dtype))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and torch.equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash(tuple(self.values.shape))


def feathered(coverage: Tensor, width: float, closed: tuple[bool, bool] = (False, False)) -> Tensor:
    """The coverage [H, W] with its border made a straight ramp of `width` cells, centred on the outline.

    The canvas's own border is no outline: what touches it does not fade there. On an axis (vertical, horizontal) that
    is `closed` there is no border, and what lies beyond is the other end.
    """
    if width < NARROWEST_FEATHER:
        return coverage
    for dim, wraps in ((-1, closed[1]), (-2, closed[0])):
        length, beyond = coverage.shape[dim], math.ceil(width / 2) if wraps else 0
        centres = torch.arange(length, dtype=torch.float64) + 0.5 + beyond
        around = coverage.index_select(dim, torch.arange(-beyond, length + beyond) % length)
        coverage = _range_means(around, centres - width / 2, centres + width / 2, dim)
    return coverage


def area_resample(values: Tensor, size: Size) -> Tensor:
    """Means over the cells of a grid that divides the canvas evenly, [..., h, w] -> [..., H, W]."""
    for dim, count in ((-2, size[0]), (-1, size[1])):
        values = _cell_means(values, values.shape[dim] / count, count, dim)
    return values


def area_resample_halved(values: Tensor, size: Size) -> Tensor:
    """Means over the cells of a grid inside a UNet, [..., h, w] -> [..., H, W], in the values' own precision.

    Strided convolutions halve a grid, rounding up: its cells are of whole pixels, the last one cut off by the border.
    A grid that has not come about so divides the canvas evenly. Made for the device: no float64, and no copy to it.
    """
    for dim, count in ((-2, size[0]), (-1, size[1])):
        along, side = values.transpose(dim, -1), _cell_side(values.shape[dim], count)
        if side != 1:
            means = _block_means(along, side) if isinstance(side, int) else _overlap_means(along, count)
            values = means.transpose(dim, -1)
    return values


def _block_means(values: Tensor, side: int) -> Tensor:
    """Means over blocks of the last axis; the last block may be shorter."""
    length, count = values.shape[-1], -(-values.shape[-1] // side)
    sums = F.pad(values, (0, count * side - length)).unflatten(-1, (count, side)).sum(-1)
    return sums / (length - torch.arange(count, device=values.device) * side).clamp(max=side)


def _overlap_means(values: Tensor, count: int) -> Tensor:
    """Means over `count` equal parts of the last axis, whose ends may lie within a pixel."""
    side = values.shape[-1] / count
    start = torch.arange(count, dtype=values.dtype, device=values.device)[:, None] * side
    pixel = torch.arange(values.shape[-1], dtype=values.dtype, device=values.device)
    overlap = torch.minimum(start + side, pixel + 1) - torch.maximum(start, pixel)
    # What rounding leaves of no overlap must not count as one.
    overlap = overlap.masked_fill(overlap < NO_OVERLAP, 0)
    return (values[..., None, :] * overlap).sum(-1) / side


def _cell_side(length: int, count: int) -> int | float:
    halved, side = length, 1
    while halved > count:
        halved, side = (halved + 1) // 2, side * 2
    return side if halved == count else length / count


def _cell_means(values: Tensor, side: float, count: int, dim: int) -> Tensor:
    if values.shape[dim] == count:
        return values
    bounds = (torch.arange(count + 1, dtype=torch.float64) * side).clamp(max=values.shape[dim])
    return _range_means(values, bounds[:-1], bounds[1:], dim)


def _range_means(values: Tensor, start: Tensor, stop: Tensor, dim: int) -> Tensor:
    """Mean of the values over each range [start, stop) of an axis; beyond it the border cells go on."""
    along = values.double().transpose(dim, -1)
    means = (_integral(along, stop) - _integral(along, start)) / (stop - start)
    return means.masked_fill(means < ROUNDING, 0).to(values.dtype).transpose(dim, -1)


def _integral(values: Tensor, at: Tensor) -> Tensor:
    """Integral of piecewise constant values [..., L] from 0 to each position, [..., positions]."""
    cell = at.floor().clamp(0, values.shape[-1] - 1).long()
    before = F.pad(values.cumsum(-1), (1, 0))
    return before[..., cell] + (at - cell) * values[..., cell]
