"""Cutting tiles out of a canvas and putting their predictions together again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import product

import torch
from torch import Tensor

from lib_instantas.tiling import CONTEXT, Segment, Size, Span, Tile, TilePlan

KEPT_PLANS = 8
"""Of how many plans weights are kept: of all that a run of few evaluations has, or TwinDiffusion."""

FADE = 2 * CONTEXT
"""Over how many latent pixels a tile fades at its border: what it shares with a neighbour that has context too."""


def cut(canvas: Tensor, plan: TilePlan, tile: Tile) -> Tensor:
    """The tile's window of a canvas, [..., H*k, W*k] -> [..., h*k, w*k].

    The scale k is found from the sizes: 1 for latents, 8 for a hint at image resolution. A window that crosses the
    border wraps on a closed axis and is filled by reflection on any other.
    """
    scale = canvas_scale(canvas, plan.canvas)
    if scale is None:
        raise ValueError(f"a tensor of {tuple(canvas.shape)} does not lie on a canvas of {plan.canvas}")
    for axis, segment in enumerate((tile.y, tile.x)):
        seen = Span(segment.window.start + plan.shift[axis], segment.window.stop + plan.shift[axis])
        canvas = _take(canvas, axis - 2, seen, plan.canvas[axis], plan.closed[axis], scale)
    return canvas


def canvas_scale(tensor: Tensor, canvas: Size) -> int | None:
    """How many of the tensor's pixels one latent pixel of the canvas is, per axis; None if it lies elsewhere."""
    if tensor.ndim < 2:
        return None
    scale = max(1, tensor.shape[-2] // canvas[0])
    return scale if tuple(tensor.shape[-2:]) == (canvas[0] * scale, canvas[1] * scale) else None


def _take(canvas: Tensor, dim: int, seen: Span, length: int, closed: bool, scale: int) -> Tensor:
    if seen.start >= 0 and seen.stop <= length:
        return canvas.narrow(dim, seen.start * scale, len(seen) * scale)
    positions = torch.arange(seen.start * scale, seen.stop * scale, device=canvas.device)
    wrapped = positions % (length * scale) if closed else reflect(positions, length * scale)
    return canvas.index_select(dim, wrapped)


def reflect(positions: Tensor, length: int) -> Tensor:
    """Positions on an endless axis brought back into [0, length) by mirrors that repeat the border pixel."""
    folded = positions % (2 * length)
    return torch.minimum(folded, 2 * length - 1 - folded)


def faded(size: Size) -> Tensor:
    """Weights [h, w] that fall along a straight line to the border of a tile of this size, in its last FADE pixels."""
    down, across = (_falling(side) for side in size)
    return down[:, None] * across


def _falling(side: int) -> Tensor:
    places = torch.arange(side) + 0.5
    return torch.minimum(places, side - places).div(FADE).clamp(max=1)


class PlanWeights:
    """The weight maps of one plan and their sum, on the devices of the predictions, fp32.

    Maps [h, w] are known by the size of a tile, or by the tile itself where tiles of one size differ.
    """

    def __init__(self, plan: TilePlan, maps: dict[tuple[Size | Tile, torch.device], Tensor]) -> None:
        self.plan = plan
        self.maps = maps
        self._sums: dict[torch.device, Tensor] = {}

    def map(self, tile: Tile, device: torch.device) -> Tensor:
        """The weights of a tile, [h, w]."""
        key = (tile.size if self.plan.portions is None else tile), device
        if key not in self.maps:
            self.maps[key] = self.plan.weight(tile).to(device, torch.float32)
        return self.maps[key]

    def sum(self, device: torch.device) -> Tensor:
        """The sum of all tiles' weights at each pixel of the rolled canvas, [H, W]."""
        if device not in self._sums:
            total = torch.zeros(self.plan.canvas, dtype=torch.float32, device=device)
            for tile in self.plan.tiles:
                weight = self.map(tile, device)
                for seen, inside in _places(self.plan, tile):
                    _crop(total, *seen).add_(_crop(weight, *inside))
            self._sums[device] = total
        return self._sums[device]


class Averaging:
    """What is kept of the last few plans, so that those that come again are asked for their weights once."""

    def __init__(self) -> None:
        self._last: list[PlanWeights] = []

    def of(self, plan: TilePlan) -> PlanWeights:
        """The weights of a plan. Plans that weigh tiles of one size alike have their maps in common."""
        known = next((one for one in self._last if one.plan is plan or one.plan == plan), None)
        if known is None:
            alike = (one.maps for one in self._last if plan.portions is None and one.plan.weights is plan.weights)
            known = PlanWeights(plan, next(alike, {}))
            self._last = [*self._last[1 - KEPT_PLANS :], known]
        return known

    def bring(self, plans: Iterable[TilePlan], device: torch.device) -> None:
        """Have the weights of these plans on the device, before the first of them is assembled."""
        for plan in plans:
            self.of(plan).sum(device)


def assemble(
    plan: TilePlan,
    predictions: Iterable[tuple[Tile, Tensor]],
    previous: Tensor | None = None,
    averaging: Averaging | None = None,
) -> Tensor:
    """The canvas [B, C, H, W] from each tile's prediction [B, C, h, w], in any order.

    With exact cover each pixel comes from the one tile that keeps it, otherwise it is the weighted mean of all tiles
    that see it. Pixels that no tile covers keep their value in `previous`; without one they are zero. Who assembles
    many canvases hands over one `averaging`, so that weights are made and summed once.
    """
    rolled = None if previous is None else torch.roll(previous, (-plan.shift[0], -plan.shift[1]), dims=(-2, -1))
    if plan.is_exact:
        fused = _copy_kept(plan, predictions, rolled)
    else:
        fused = _weighted_mean(plan, predictions, rolled, (averaging or Averaging()).of(plan))
    return torch.roll(fused, plan.shift, dims=(-2, -1))


def _copy_kept(plan: TilePlan, predictions: Iterable[tuple[Tile, Tensor]], previous: Tensor | None) -> Tensor:
    canvas = previous
    for tile, prediction in predictions:
        if canvas is None:
            canvas = _blank(plan, prediction)
        _crop(canvas, tile.y.keep, tile.x.keep).copy_(
            _crop(prediction, _relative(tile.y.keep, tile.y.window), _relative(tile.x.keep, tile.x.window))
        )
    return _covered(canvas)


def _weighted_mean(
    plan: TilePlan, predictions: Iterable[tuple[Tile, Tensor]], previous: Tensor | None, weights: PlanWeights
) -> Tensor:
    """sum(w_i x_i) / sum(w_i) over the tiles that see a pixel (GVCF, eq. 8), summed in fp32."""
    fused = None
    for tile, prediction in predictions:
        if fused is None:
            previous = _blank(plan, prediction) if previous is None else previous
            fused = torch.zeros_like(previous, dtype=torch.float32)
        weight = weights.map(tile, fused.device)
        for seen, inside in _places(plan, tile):
            _crop(fused, *seen).add_(_crop(weight, *inside) * _crop(prediction, *inside))
    fused, previous = _covered(fused), _covered(previous)
    total = weights.sum(fused.device)
    return torch.where(total > 0, fused / total, previous.float()).to(previous.dtype)


def _blank(plan: TilePlan, prediction: Tensor) -> Tensor:
    return prediction.new_zeros((*prediction.shape[:-2], *plan.canvas))


def _crop(canvas: Tensor, rows: Span, columns: Span) -> Tensor:
    return canvas[..., rows.start : rows.stop, columns.start : columns.stop]


def _relative(span: Span, window: Span) -> Span:
    return Span(span.start - window.start, span.stop - window.start)


def _places(plan: TilePlan, tile: Tile) -> Iterator[tuple[tuple[Span, Span], tuple[Span, Span]]]:
    """Where a tile's window lies, (rows, columns) of the canvas, and which (rows, columns) of the window lie there."""
    rows, columns = (
        visible(segment, length, closed)
        for segment, length, closed in zip((tile.y, tile.x), plan.canvas, plan.closed, strict=True)
    )
    for (y, inside_y), (x, inside_x) in product(rows, columns):
        yield (y, x), (inside_y, inside_x)


def visible(segment: Segment, length: int, closed: bool) -> tuple[tuple[Span, Span], ...]:
    """The parts of an axis that a window sees, each with the part of the window it lies in.

    There is one, or, on a closed axis, one more each time that the window goes around.
    """
    window = segment.window
    turns = range(window.start // length, math.ceil(window.stop / length)) if closed else (0,)
    pieces = ((max(0, window.start - turn * length), min(length, window.stop - turn * length), turn) for turn in turns)
    return tuple(
        (Span(start, stop), _relative(Span(start + turn * length, stop + turn * length), window))
        for start, stop, turn in pieces
    )


def _covered(canvas: Tensor | None) -> Tensor:
    if canvas is None:
        raise ValueError("a plan without tiles has nothing to assemble")
    return canvas
