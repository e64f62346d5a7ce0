"""Attention over all tiles at once (Merge-Attend-Diffuse: Quattrini et al. 2024).

In self-attention, queries, keys and values of all tiles are laid on the canvas, and averaged where tiles overlap; the
canvas attends to itself, and each tile gets what lies in its place. In attention to the prompt the queries are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from lib_instantas.attention import Grid, attend, found_context, is_hooked
from lib_instantas.attention_layers import AttentionLayer, cross_attention_layers, self_attention_layers
from lib_instantas.denoiser import ModelCall
from lib_instantas.errors import SettingsError
from lib_instantas.region_masks import Attention
from lib_instantas.replacing import replaced
from lib_instantas.tiling import Size


class MergedAttention:
    """A part of TiledDenoiser (`around`): in its first `until` evaluations all tiles attend as one canvas.

    They have to be asked about in one call, and to be of one size.
    """

    def __init__(self, models: Sequence[nn.Module], until: int) -> None:
        self.of_prompts = tuple(layer for model in models for layer in cross_attention_layers(model))
        self.of_picture = tuple(layer for model in models for layer in self_attention_layers(model))
        self.until = until

    @contextmanager
    def __call__(self, call: ModelCall) -> Iterator[None]:
        """Merged attention during one model call; on leaving, every layer is as it was. Raises SettingsError."""
        if call.evaluation >= self.until or call.plan.is_whole_canvas:
            yield
            return
        if len(call.tiles) < len(call.plan.tiles):
            raise SettingsError(
                f"method cannot be Merge-Attend-Diffuse where the {len(call.plan.tiles)} tiles are shared among "
                f"processes: {len(call.tiles)} of them were asked about in one call"
            )
        layers = [(layer, self._self_forward) for layer in self.of_picture]
        layers += [(layer, self._cross_forward) for layer in self.of_prompts]
        with ExitStack() as stack:
            views = {id(layer.transformer): Views(call) for layer, _ in layers}
            for transformer in {id(layer.transformer): layer.transformer for layer, _ in layers}.values():
                note = views[id(transformer)].grid.note
                stack.callback(transformer.register_forward_pre_hook(note, with_kwargs=True).remove)
            for layer, of_layer in layers:
                _refuse_hooks(layer)
                forward = of_layer(layer.module, views[id(layer.transformer)])
                stack.enter_context(replaced(layer.module, "forward", forward))
            yield

    def _self_forward(self, module: nn.Module, views: Views) -> Callable[..., Tensor]:
        def merged(attention: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return views.split(attention(views.merge(q), views.merge(k), views.merge(v), None))

        def forward(x: Tensor, *args: object, **kwargs: object) -> Tensor:
            return attend(module, x, (x, x), merged)

        return forward

    def _cross_forward(self, module: nn.Module, views: Views) -> Callable[..., Tensor]:
        def merged(attention: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return views.split(attention(views.merge(q), k[: views.rows], v[: views.rows], None))

        def forward(x: Tensor, *args: object, **kwargs: object) -> Tensor:
            context = found_context(args, kwargs)[0]
            assert context is not None
            return attend(module, x, (context, context), merged)

        return forward


class Views:
    """Where the tiles of a call lie on a feature map of the canvas; `rows` are the rows of each tile.

    `grid` is told the height and width of a tile's features before each use.
    """

    def __init__(self, call: ModelCall) -> None:
        self.rows = call.rows
        self.tiles = call.tiles
        self.grid = Grid()

    @property
    def _corners(self) -> list[tuple[int, int]]:
        """Row and column of each tile's first feature; a window that begins between two begins with the first."""
        scale = self.tiles[0].size[0] // self.grid.size[0]
        return [(tile.y.window.start // scale, tile.x.window.start // scale) for tile in self.tiles]

    @property
    def canvas(self) -> Size:
        """Height and width of the features of all tiles together."""
        height, width = self.grid.size
        corners = self._corners
        return max(y for y, _ in corners) + height, max(x for _, x in corners) + width

    def merge(self, tokens: Tensor) -> Tensor:
        """Tokens [tiles * rows, heads, h*w, d], tile by tile, as the mean on the canvas, [rows, heads, H*W, d]."""
        views = tokens.unflatten(2, self.grid.size).unflatten(0, (len(self.tiles), self.rows))
        total = tokens.new_zeros(self.rows, tokens.shape[1], *self.canvas, tokens.shape[-1], dtype=torch.float32)
        count = tokens.new_zeros(*self.canvas, 1, dtype=torch.float32)
        for view, (y, x) in zip(views, self._corners, strict=True):
            place = (..., slice(y, y + self.grid.size[0]), slice(x, x + self.grid.size[1]), slice(None))
            total[place] += view
            count[place] += 1
        return (total / count).to(tokens.dtype).flatten(2, 3)

    def split(self, answers: Tensor) -> Tensor:
        """Each tile's part of answers on the canvas, the way back."""
        canvas = answers.unflatten(2, self.canvas)
        (height, width), corners = self.grid.size, self._corners
        return torch.cat([canvas[..., y : y + height, x : x + width, :].flatten(2, 3) for y, x in corners])


def _refuse_hooks(layer: AttentionLayer) -> None:
    if is_hooked(layer.module):
        raise SettingsError("method cannot be Merge-Attend-Diffuse beside what changes the model's attention")
