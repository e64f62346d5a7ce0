"""The layers an autoencoder is made of, each computed tile by tile: what a tile reads, and what it becomes.

A layer here is what lies between two GroupNorms. Modules are called through their own `forward`, never through their
weights: other parts may have patched it (LoRA).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lib_instantas.device import no_autocast
from lib_instantas.tiling import Size
from lib_instantas.vae.maps import Axes, Box, Map, grid, sum_in_float, whole, wider
from lib_instantas.vae.workspace import Workspace

SAME, UP, DOWN = Fraction(1), Fraction(2), Fraction(1, 2)
"""How the side of a map changes: output pixels per input pixel."""

CPU_QUERIES = 8192
"""Queries at a time on a CPU: PyTorch's kernel there never holds their scores, and is slow with few of them."""

BYTES_PER_SCORE = 8
"""Of attention without a fused kernel: a score and its softmax, in float32."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What a pass asks of a layer; a new kind answers `modules` and `tile`, and what is not as written here.

    `channels` are those of its output. `norm` comes first of all, as the map before it gives it: with the statistics of
    all tiles. `branch` says what the path around a residual block becomes here: the input as it is, or the input
    through a module. `join` adds that path to the output, which is divided by `divisor`.
    """

    name: str
    channels: int
    norm: nn.GroupNorm | None = None
    branch: Literal["input"] | nn.Module | None = None
    join: bool = False
    divisor: float = 1.0

    looks_everywhere: ClassVar[bool] = False
    """Whether `prepare` reads the whole map."""

    @property
    def modules(self) -> list[nn.Module]:
        """The modules that hold weights, the norm apart."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        """Values per pixel that a tile has in memory beside its input."""
        return self.channels

    def multiplications(self, size: Size, map_size: Size) -> int:
        """What `size` pixels of an output of `map_size` take."""
        return size[0] * size[1] * sum(weight.numel() for module in self.modules for weight in module.parameters())

    def most_pixels(self, before: Map, work: Workspace) -> int:
        """How many pixels of output a tile may have."""
        return max(1, work.elements // max(before.channels, self.width))

    def out_size(self, size: Size) -> Size:
        """The size of the map it writes."""
        return size

    def after(self, before: Map) -> Map:
        """The map that it writes, still empty, with the path around that goes on beside it."""
        after = Map(self.out_size(before.size), self.channels, before.wrap)
        if self.branch == "input":
            after.skip = before
        elif self.branch is not None:
            after.skip = Map(after.size, self.channels, before.wrap)
        elif not self.join:
            after.skip = before.skip
        return after

    def window(self, keep: Box, size: Size, wrap: Axes) -> Box:
        """What it must read of a map of `size` to compute `keep` of its output."""
        return keep

    def prepare(self, before: Map, work: Workspace) -> Any:
        """What is known only when the whole map before it is, the norm apart: handed to every `tile`."""
        return None

    def prepare_precisely(self, prepared: Any, before: Map, work: Workspace) -> Any:
        """The same in float32, for tiles that were not finite."""
        return prepared

    def tile(
        self, keep: Box, before: Map, prepared: Any, work: Workspace, dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """The part `keep` of the main path and, where a module begins a path around, of that one.

        In `dtype` if given, else in that of what it reads.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Convolution(Layer):
    """[norm, activation,] module [, + skip]."""

    module: nn.Module
    activation: Callable[[Tensor], Tensor] | None = None
    scale: Fraction = SAME

    @property
    def modules(self) -> list[nn.Module]:
        """The convolution, and the shortcut that begins at it."""
        return [self.module, self.branch] if isinstance(self.branch, nn.Module) else [self.module]

    def out_size(self, size: Size) -> Size:
        """The size of the map it writes."""
        return int(size[0] * self.scale), int(size[1] * self.scale)

    def wrapped(self, wrap: Axes) -> Axes:
        """The axes on which this layer is closed to a ring: as asked for, or as the module's own padding already is.

        The down-sampling of these networks pads with zeros beside the convolution, whatever that one's padding mode.
        """
        if self.scale != DOWN and any(_is_circular(module) for module in self.modules):
            return True, True
        return wrap

    def window(self, keep: Box, size: Size, wrap: Axes) -> Box:
        """The tile with its halo."""
        wrap = self.wrapped(wrap)
        top, bottom = self._span(keep.top, keep.bottom, size[0], wrap[0])
        left, right = self._span(keep.left, keep.right, size[1], wrap[1])
        return Box(top, left, bottom, right)

    def _span(self, start: int, stop: int, length: int, wrap: bool) -> tuple[int, int]:
        if self.scale == DOWN:
            # A 3-wide kernel at stride 2 that is padded on its right only: no halo on the left.
            start, stop = 2 * start, 2 * stop + 1
        else:
            halo = max(_halo(module) for module in self.modules)
            if self.scale == UP:
                start, stop, halo = start // 2, -(-stop // 2), -(-halo // 2)
            start, stop = start - halo, stop + halo
        return (start, stop) if wrap else (max(start, 0), min(stop, length))

    def tile(
        self, keep: Box, before: Map, prepared: Any, work: Workspace, dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """The tile, from its window of the main path and, where a residual block ends, the same tile of the other."""
        window = self.window(keep, before.size, before.wrap)
        x = before.read(window).to(work.device, dtype)
        with in_precision(self.modules, x.dtype), _exactly(dtype is not None, work):
            around = [self._cut(self.branch(x), window, keep)] if isinstance(self.branch, nn.Module) else []
            x = before.normalised(x, in_place=not before.keeps(x))
            if self.activation is not None:
                x = _activated(self.activation, x)
            y = self._cut(self.module(x), window, keep)
            if self.join and before.skip is not None:
                y = y + before.skip.read(keep).to(y.device)
            return [y if self.divisor == 1 else y / self.divisor, *around]

    def _cut(self, y: Tensor, window: Box, keep: Box) -> Tensor:
        """The part `keep` of what a module made of `window`."""
        return keep.of(y, (int(window.top * self.scale), int(window.left * self.scale)))


@dataclass(frozen=True, kw_only=True)
class Attention(Layer):
    """Self-attention over the whole map with its norm and its residual: queries go by blocks, all keys are there."""

    looks_everywhere = True
    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module
    heads: int = 1
    residual: bool = True

    @property
    def modules(self) -> list[nn.Module]:
        """The four projections."""
        return [self.query, self.key, self.value, self.output]

    @property
    def width(self) -> int:
        """Queries, attended values, and what is made of them."""
        return 4 * self.channels

    def multiplications(self, size: Size, map_size: Size) -> int:
        """The projections, and each pixel's look at every other."""
        pairs = size[0] * size[1] * map_size[0] * map_size[1]
        return super().multiplications(size, map_size) + 2 * self.channels * pairs

    def most_pixels(self, before: Map, work: Workspace) -> int:
        """No more than one block of queries on a CPU, where a large map takes minutes: between tiles one can stop."""
        most = super().most_pixels(before, work)
        return min(most, CPU_QUERIES) if work.device.type == "cpu" else most

    def prepare(self, before: Map, work: Workspace) -> tuple[Tensor, Tensor]:
        """The keys and values of all pixels, `[batch, heads, pixels, channels / heads]`, unordered."""
        return self._project_all(before, work, before.dtype)

    def prepare_precisely(self, prepared: Any, before: Map, work: Workspace) -> tuple[Tensor, Tensor]:
        """The keys and values may be what was not finite."""
        keys, _ = prepared
        return self._project_all(before, work, wider(torch.float32, keys.dtype))

    def _project_all(self, before: Map, work: Workspace, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        area = whole(before.size).area
        shape = (before.batch, self.heads, area, self.channels // self.heads)
        keys, values = (torch.empty(shape, dtype=dtype, device=work.device) for _ in range(2))
        start = 0
        with in_precision(self.modules, dtype), _exactly(dtype != before.dtype, work):
            for box in grid(before.size, max(1, work.elements // self.width)):
                x = before.normalised(before.read(box).to(work.device, dtype))
                keys.narrow(2, start, box.area).copy_(self._tokens(self.key, x))
                values.narrow(2, start, box.area).copy_(self._tokens(self.value, x))
                start += box.area
        # One that is not finite spoils every tile: the check of the tiles finds it, without one of its own.
        values += 0 * (sum_in_float(keys) + sum_in_float(values)).to(dtype)
        return keys, values

    def tile(
        self, keep: Box, before: Map, prepared: Any, work: Workspace, dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """The tile's queries against all keys."""
        keys, values = prepared
        piece = before.read(keep)
        dtype = dtype or wider(piece.dtype, keys.dtype)
        x = piece.to(work.device, dtype)
        with in_precision(self.modules, dtype), _exactly(dtype != piece.dtype, work):
            queries = self._tokens(self.query, before.normalised(x))
            y = self._map(self._attended(queries, keys.to(dtype), values.to(dtype), work), x.shape[-2:])
            return [((x + y) if self.residual else y) / self.divisor]

    def _attended(self, queries: Tensor, keys: Tensor, values: Tensor, work: Workspace) -> Tensor:
        """A block of queries at a time against all keys."""
        block = self._block(keys, work)
        # PyTorch's CPU kernel that keeps no scores takes channels that lie side by side only, else it keeps them all.
        parts = queries.contiguous().split(block, dim=2)
        return torch.cat([nn.functional.scaled_dot_product_attention(part, keys, values) for part in parts], dim=2)

    def _block(self, keys: Tensor, work: Workspace) -> int:
        """Queries at a time: as many as a tile's elements or the spare memory hold the scores of."""
        least = max(1, work.elements // keys.shape[2])
        if work.device.type == "cpu":
            return max(CPU_QUERIES, least)
        scores = keys.shape[0] * keys.shape[1] * keys.shape[2]
        return max(least, work.spare_bytes() // (BYTES_PER_SCORE * scores))

    def _tokens(self, module: nn.Module, x: Tensor) -> Tensor:
        """A projection of a map `[batch, channels, h, w]` as `[batch, heads, h * w, channels / heads]`."""
        linear = isinstance(module, nn.Linear)
        y = module(x.flatten(2).transpose(1, 2)) if linear else module(x).flatten(2).transpose(1, 2)
        return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _map(self, attended: Tensor, size: torch.Size) -> Tensor:
        """The last projection, back as a map."""
        y = attended.transpose(1, 2).flatten(2)
        if isinstance(self.output, nn.Linear):
            return self.output(y).transpose(1, 2).unflatten(-1, size)
        return self.output(y.transpose(1, 2).unflatten(-1, size))


@contextmanager
def in_precision(modules: Iterable[nn.Module], dtype: torch.dtype) -> Iterator[None]:
    """Run modules whose weights are of another dtype in `dtype`; afterwards every weight is the tensor it was.

    Unless a host moved it meanwhile (`--medvram`): then it stays where the host put it, in its own dtype.
    """
    weights = [p for module in modules for p in module.parameters() if p.dtype.is_floating_point and p.dtype != dtype]
    originals = [weight.data for weight in weights]
    try:
        for weight, original in zip(weights, originals, strict=True):
            weight.data = original.to(dtype)
        yield
    finally:
        for weight, original in zip(weights, originals, strict=True):
            moved = weight.device != original.device
            weight.data = weight.data.to(original.dtype) if moved else original


def _exactly(precise: bool, work: Workspace) -> AbstractContextManager[object]:
    """No automatic mixed precision where a dtype was asked for."""
    return no_autocast(work.device) if precise else nullcontext()


def _activated(activation: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The activation of a tensor that nobody needs afterwards."""
    if activation is nn.functional.silu or isinstance(activation, nn.SiLU):
        return nn.functional.silu(x, inplace=True)
    return activation(x)


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def _is_circular(module: nn.Module) -> bool:
    """Whether it is closed to a ring: the WebUI's Tiling checkbox sets `padding_mode` on every convolution."""
    return any(part.padding_mode == "circular" for part in _convolutions(module))


def _halo(module: nn.Module) -> int:
    return max((part.kernel_size[0] // 2 * part.dilation[0] for part in _convolutions(module)), default=0)
