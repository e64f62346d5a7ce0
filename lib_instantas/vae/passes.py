"""The passes an autoencoder is made of: what can be computed tile by tile between two GroupNorm barriers.

A pass reads one map (the *main* path) and, where a residual block ends, the *skip* path, and writes the next main path.
Layers are called through their own `forward`, never through their weights: other parts may have patched it (LoRA).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor, nn

from lib_instantas.tiling import Size
from lib_instantas.vae.field import Axes, Box

Activation = Callable[[Tensor], Tensor]


class Scale(Enum):
    """How the size of the map changes: output pixels per input pixel."""

    SAME = Fraction(1)
    UP = Fraction(2)
    DOWN = Fraction(1, 2)


@dataclass(frozen=True)
class Convolution:
    """[norm, activation,] layer [, + skip]: everything local between two barriers.

    `branch` says what the skip path becomes here: the input as it is, or the input through a shortcut layer.
    """

    name: str
    layer: nn.Module
    channels: int
    norm: nn.GroupNorm | None = None
    activation: Activation | None = None
    scale: Scale = Scale.SAME
    branch: Literal["input"] | nn.Module | None = None
    join: bool = False
    divisor: float = 1.0

    @property
    def layers(self) -> list[nn.Module]:
        """The modules that hold weights."""
        return [self.layer, self.branch] if isinstance(self.branch, nn.Module) else [self.layer]

    @property
    def width(self) -> int:
        """Values per pixel that a tile has in memory beside its input."""
        return self.channels

    def work(self, size: Size) -> int:
        """Multiplications for `size` pixels of output."""
        return size[0] * size[1] * _weights(self.layers)

    def out_size(self, size: Size) -> Size:
        """The size of the map it writes."""
        return (int(size[0] * self.scale.value), int(size[1] * self.scale.value))

    def wrapped(self, wrap: Axes) -> Axes:
        """The axes on which this pass is closed to a ring: as asked for, or as the layer's own padding already is.

        The down-sampling of these networks pads with zeros beside the convolution, whatever that one's padding mode.
        """
        if self.scale is not Scale.DOWN and any(_is_circular(layer) for layer in self.layers):
            return True, True
        return wrap

    def window(self, keep: Box, size: Size, wrap: Axes) -> Box:
        """What it must read of a map of `size` to compute `keep` of its output."""
        wrap = self.wrapped(wrap)
        top, bottom = self._span(keep.top, keep.bottom, size[0], wrap[0])
        left, right = self._span(keep.left, keep.right, size[1], wrap[1])
        return Box(top, left, bottom, right)

    def _span(self, start: int, stop: int, length: int, wrap: bool) -> tuple[int, int]:
        if self.scale is Scale.DOWN:
            # A 3-wide kernel at stride 2 that is padded on its right only: no halo on the left.
            start, stop = 2 * start, 2 * stop + 1
        else:
            halo = max(_halo(layer) for layer in self.layers)
            if self.scale is Scale.UP:
                start, stop, halo = start // 2, -(-stop // 2), -(-halo // 2)
            start, stop = start - halo, stop + halo
        return (start, stop) if wrap else (max(start, 0), min(stop, length))

    def origin(self, window: Box) -> tuple[int, int]:
        """The output pixel that the first pixel of the layer's output on `window` is."""
        return int(window.top * self.scale.value), int(window.left * self.scale.value)

    def __call__(self, x: Tensor, window: Box, keep: Box, normalise: Activation | None) -> tuple[Tensor, Tensor | None]:
        """Compute `keep` from `window`: the main path, the old skip path not added, and the new one if it has one."""
        skip = None
        if isinstance(self.branch, nn.Module):
            skip = keep.of(self.branch(x), self.origin(window))
        if normalise is not None:
            x = normalise(x)
        if self.activation is not None:
            x = _activated(self.activation, x)
        return keep.of(self.layer(x), self.origin(window)), skip


@dataclass(frozen=True)
class Attention:
    """Self-attention over the whole map with its norm and its residual: queries go by blocks, all keys are there."""

    name: str
    norm: nn.GroupNorm
    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module
    channels: int
    heads: int = 1
    residual: bool = True
    divisor: float = 1.0

    scale = Scale.SAME

    @property
    def layers(self) -> list[nn.Module]:
        """The modules that hold weights."""
        return [self.query, self.key, self.value, self.output]

    @property
    def width(self) -> int:
        """Values per pixel that a tile has in memory: queries, attended values, and what is made of them."""
        return 4 * self.channels

    def work(self, size: Size) -> int:
        """Multiplications of the projections for `size` pixels; those of keys times queries are left out."""
        return size[0] * size[1] * _weights(self.layers)

    def out_size(self, size: Size) -> Size:
        """The size of the map it writes."""
        return size

    def window(self, keep: Box, size: Size, wrap: Axes) -> Box:
        """What it must read at the queries; position plays no part in it, so there is no halo."""
        return keep

    def tokens(self, layer: nn.Module, x: Tensor) -> Tensor:
        """A projection of a map `[batch, channels, h, w]` as `[batch, heads, h * w, channels / heads]`."""
        linear = isinstance(layer, nn.Linear)
        y = layer(x.flatten(2).transpose(1, 2)) if linear else layer(x).flatten(2).transpose(1, 2)
        return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def __call__(self, x: Tensor, normalise: Activation, keys: Tensor, values: Tensor, block: int) -> Tensor:
        """Attend from every pixel of `x` to all keys, `block` queries at a time."""
        # PyTorch's CPU kernel that keeps no scores takes channels that lie side by side only, else it keeps them all.
        queries = self.tokens(self.query, normalise(x)).contiguous()
        attended = torch.cat(
            [nn.functional.scaled_dot_product_attention(part, keys, values) for part in queries.split(block, dim=2)],
            dim=2,
        )
        y = attended.transpose(1, 2).flatten(2)
        if isinstance(self.output, nn.Linear):
            y = self.output(y).transpose(1, 2).unflatten(-1, x.shape[-2:])
        else:
            y = self.output(y.transpose(1, 2).unflatten(-1, x.shape[-2:]))
        return ((x + y) if self.residual else y) / self.divisor


Pass = Convolution | Attention


def _activated(activation: Activation, x: Tensor) -> Tensor:
    """The activation of a tensor that nobody needs afterwards."""
    if activation is nn.functional.silu or isinstance(activation, nn.SiLU):
        return nn.functional.silu(x, inplace=True)
    return activation(x)


def _weights(layers: list[nn.Module]) -> int:
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


def _convolutions(layer: nn.Module) -> list[nn.Conv2d]:
    return [module for module in layer.modules() if isinstance(module, nn.Conv2d)]


def _is_circular(layer: nn.Module) -> bool:
    """Whether it is closed to a ring: the WebUI's Tiling checkbox sets `padding_mode` on every convolution."""
    return any(module.padding_mode == "circular" for module in _convolutions(layer))


def _halo(layer: nn.Module) -> int:
    return max((module.kernel_size[0] // 2 * module.dilation[0] for module in _convolutions(layer)), default=0)
