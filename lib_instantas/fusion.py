"""Cutting tiles out of a canvas and putting their predictions together again."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from lib_instantas.tiling import Segment, Size, Span, Tile, TilePlan


def cut(canvas: Tensor, plan: TilePlan, tile: Tile) -> Tensor:
    """The tile's window of a canvas, [..., H*k, W*k] -> [..., h*k, w*k].

    The scale k is found from the sizes: 1 for latents, 8 for a hint at image resolution. A window that crosses the
    border wraps on an axis that is shifted and is filled by reflection on any other.
    """
    scale = canvas_scale(canvas, plan.canvas)
    if scale is None:
        raise ValueError(f"a tensor of {tuple(canvas.shape)} does not lie on a canvas of {plan.canvas}")
    for dim, segment, length, shift in (
        (-2, tile.y, plan.canvas[0], plan.shift[0]),
        (-1, tile.x, plan.canvas[1], plan.shift[1]),
    ):
        canvas = _take(canvas, dim, segment.window, length, shift, scale)
    return canvas


def canvas_scale(tensor: Tensor, canvas: Size) -> int | None:
    """How many of the tensor's pixels one latent pixel of the canvas is, per axis; None if it lies elsewhere."""
    if tensor.ndim < 2:
        return None
    scale = max(1, tensor.shape[-2] // canvas[0])
    return scale if tuple(tensor.shape[-2:]) == (canvas[0] * scale, canvas[1] * scale) else None


def _take(canvas: Tensor, dim: int, window: Span, length: int, shift: int, scale: int) -> Tensor:
    start, stop = window.start + shift, window.stop + shift
    if start >= 0 and stop <= length:
        return canvas.narrow(dim, start * scale, (stop - start) * scale)
    positions = torch.arange(start * scale, stop * scale, device=canvas.device)
    wrapped = positions % (length * scale) if shift else reflect(positions, length * scale)
    return canvas.index_select(dim, wrapped)


def reflect(positions: Tensor, length: int) -> Tensor:
    """Positions on an endless axis brought back into [0, length) by mirrors that repeat the border pixel."""
    folded = positions % (2 * length)
    return torch.minimum(folded, 2 * length - 1 - folded)


def assemble(plan: TilePlan, predictions: Iterable[tuple[Tile, Tensor]], previous: Tensor | None = None) -> Tensor:
    """The canvas [B, C, H, W] from each tile's prediction [B, C, h, w], in any order.

    With exact cover each pixel comes from the one tile that keeps it, otherwise it is the weighted mean of all tiles
    that see it. Pixels that no tile covers keep their value in `previous`; without one they are zero.
    """
    rolled = None if previous is None else torch.roll(previous, (-plan.shift[0], -plan.shift[1]), dims=(-2, -1))
    fuse = _copy_kept if plan.weights is None else _weighted_mean
    return torch.roll(fuse(plan, predictions, rolled), plan.shift, dims=(-2, -1))


def _copy_kept(plan: TilePlan, predictions: Iterable[tuple[Tile, Tensor]], previous: Tensor | None) -> Tensor:
    canvas = previous
    for tile, prediction in predictions:
        if canvas is None:
            canvas = _blank(plan, prediction)
        _crop(canvas, tile.y.keep, tile.x.keep).copy_(
            _crop(prediction, _relative(tile.y.keep, tile.y.window), _relative(tile.x.keep, tile.x.window))
        )
    return _covered(canvas)


def _weighted_mean(plan: TilePlan, predictions: Iterable[tuple[Tile, Tensor]], previous: Tensor | None) -> Tensor:
    """sum(w_i x_i) / sum(w_i) over the tiles that see a pixel (GVCF, eq. 8), summed in fp32."""
    assert plan.weights is not None
    fused = total = None
    for tile, prediction in predictions:
        if fused is None or total is None:
            previous = _blank(plan, prediction) if previous is None else previous
            fused, total = torch.zeros_like(previous, dtype=torch.float32), torch.zeros_like(previous[:1, :1]).float()
        seen = _visible(tile.y, plan.canvas[0]), _visible(tile.x, plan.canvas[1])
        inside = _relative(seen[0], tile.y.window), _relative(seen[1], tile.x.window)
        weight = _crop(plan.weights(tile.size).to(fused), *inside)
        _crop(fused, *seen).add_(weight * _crop(prediction, *inside))
        _crop(total, *seen).add_(weight)
    fused, total, previous = _covered(fused), _covered(total), _covered(previous)
    return torch.where(total > 0, fused / total, previous.float()).to(previous.dtype)


def _blank(plan: TilePlan, prediction: Tensor) -> Tensor:
    return prediction.new_zeros((*prediction.shape[:-2], *plan.canvas))


def _crop(canvas: Tensor, rows: Span, columns: Span) -> Tensor:
    return canvas[..., rows.start : rows.stop, columns.start : columns.stop]


def _relative(span: Span, window: Span) -> Span:
    return Span(span.start - window.start, span.stop - window.start)


def _visible(segment: Segment, length: int) -> Span:
    return Span(max(0, segment.window.start), min(length, segment.window.stop))


def _covered(canvas: Tensor | None) -> Tensor:
    if canvas is None:
        raise ValueError("a plan without tiles has nothing to assemble")
    return canvas
