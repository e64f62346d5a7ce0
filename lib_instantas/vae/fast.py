"""The fast mode: the widest layers are fused into one, with statistics estimated from a reduced picture.

A tile goes through all of them before the next one begins. Nothing of the maps between them is kept, so main memory
does not fill and nothing is moved between it and the device. The price is a small error of colour and contrast, since
the reduced picture's statistics are not quite those of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from lib_instantas.processes import ALONE
from lib_instantas.tiling import Size
from lib_instantas.vae.layers import Convolution, Layer
from lib_instantas.vae.maps import Axes, Box, Map, SharedNorm, whole
from lib_instantas.vae.network import output_sizes, workspace
from lib_instantas.vae.passes import run
from lib_instantas.vae.workspace import Workspace

REDUCED_SHARE = 1 / 8
"""Of the map's pixels that the reduced picture has at least."""

WIDE_SHARE = 0.2
"""Of the largest map's pixels that a layer must touch to be fused."""


def fused(layers: Sequence[Layer], size: Size) -> list[Layer]:
    """The same layers for an input of `size`, those that touch a fifth or more of the largest map's pixels as one."""
    areas = [height * width for height, width in (size, *output_sizes(layers, size))]
    wide = [i for i in range(len(layers)) if max(areas[i], areas[i + 1]) >= WIDE_SHARE * max(areas)]
    first, stop = wide[0], wide[-1] + 1
    convolutions = [layer for layer in layers[first:stop] if isinstance(layer, Convolution)]
    if len(convolutions) != stop - first:
        return list(layers)
    return [*layers[:first], Fused.of(convolutions), *layers[stop:]]


@dataclass(frozen=True, kw_only=True)
class Fused(Layer):
    """Consecutive convolutions taken as one layer."""

    looks_everywhere = True
    layers: tuple[Convolution, ...]

    @classmethod
    def of(cls, layers: Sequence[Convolution]) -> Fused:
        """Named from the first to the last."""
        return cls(name=f"{layers[0].name} to {layers[-1].name}", channels=layers[-1].channels, layers=tuple(layers))

    @property
    def modules(self) -> list[nn.Module]:
        """Those of all layers."""
        return [module for layer in self.layers for module in layer.modules]

    @property
    def width(self) -> int:
        """Values per pixel of the output that a tile has in memory at its widest."""
        return max(layer.channels for layer in self.layers)

    def multiplications(self, size: Size, map_size: Size) -> int:
        """What `size` pixels of an output of `map_size` take, without the halo."""
        per_pixel, scale = Fraction(0), Fraction(1)
        for layer in reversed(self.layers):
            per_pixel += layer.multiplications((1, 1), (1, 1)) / scale**2
            scale *= layer.scale
        return size[0] * size[1] * round(per_pixel)

    def out_size(self, size: Size) -> Size:
        """The size of the map that the last layer writes."""
        return output_sizes(self.layers, size)[-1]

    def window(self, keep: Box, size: Size, wrap: Axes) -> Box:
        """The tile with the halo of all layers."""
        return self._windows(keep, size, self._wrapped(wrap))[0]

    def _wrapped(self, wrap: Axes) -> Axes:
        """The closed axes: of all layers, if of one."""
        each = [layer.wrapped(wrap) for layer in self.layers]
        return any(axes[0] for axes in each), any(axes[1] for axes in each)

    def _windows(self, keep: Box, size: Size, wrap: Axes) -> list[Box]:
        """What is needed of every map, from the input to `keep` of the output."""
        boxes = [keep]
        sizes = [size, *output_sizes(self.layers, size)[:-1]]
        for layer, before in zip(reversed(self.layers), reversed(sizes), strict=True):
            boxes.insert(0, layer.window(boxes[0], before, wrap))
        return boxes

    def prepare(self, before: Map, work: Workspace) -> list[SharedNorm | None]:
        """The norm of every layer on a reduced picture; it has no borders of its own, so it is closed to a ring."""
        picture = reduced(before, self._reduced_area(before.size, work.elements)).to(work.device)
        alone = replace(work.options, processes=ALONE, progress=lambda done, total: None)
        inner = workspace(self.layers, picture, replace(alone, wrap=(True, True)), work.recovery, work.elements)
        norms: list[SharedNorm | None] = []
        run(self.layers, picture, inner, norms)
        return norms

    def _reduced_area(self, size: Size, elements: int) -> int:
        """Pixels of the reduced picture: as many as a tile may have, at least a fixed share of the map's."""
        scale = math.prod(float(layer.scale) for layer in self.layers)
        return max(int(elements / self.width / max(scale, 1.0) ** 2), int(REDUCED_SHARE * whole(size).area))

    def tile(
        self, keep: Box, before: Map, prepared: Any, work: Workspace, dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """The tile, through all layers; between two of them lies a map that holds nothing but its window."""
        wrap = self._wrapped(before.wrap)
        first, *windows = self._windows(keep, before.size, wrap)
        part = Map(before.size, before.channels, wrap, pieces={first: before.read(first).to(work.device, dtype)})
        for layer, norm, window in zip(self.layers, prepared, windows, strict=True):
            part.norm = norm
            after = layer.after(part)
            after.write(window, layer.tile(window, part, None, work, dtype))
            part = after
        return [part.pieces[keep]]


def reduced(source: Map, area: int) -> Tensor:
    """Every k-th pixel of every k-th row, about `area` pixels in all; the map itself if it has no more.

    Of the ways tried (means over cells, blocks of neighbouring pixels, this) it came nearest to the statistics of the
    whole.
    """
    height, width = source.size
    step = max(1, math.ceil(math.sqrt(height * width / area)))
    if step == 1:
        return source.read(whole(source.size))
    rows = [source.read(Box(y, 0, y + 1, width)) for y in range(step // 2, height, step)]
    return torch.cat([row[..., step // 2 :: step] for row in rows], dim=-2)
