"""The fast mode: the widest layers go through a tile in one sweep, with statistics estimated from a reduced picture.

Nothing of these layers' maps is kept, so main memory does not fill and nothing is moved between it and the device. The
price is a small error of colour and contrast, since the reduced picture's statistics are not quite those of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from lib_instantas.sharing import ALONE
from lib_instantas.tiling import Size
from lib_instantas.vae.layers import Convolution, Layer
from lib_instantas.vae.maps import Box, Map, Paths, whole
from lib_instantas.vae.norm import SharedNorm
from lib_instantas.vae.options import Axes, Workspace
from lib_instantas.vae.passes import output_sizes, run, workspace

REDUCED_SHARE = 1 / 8
"""Of the map's pixels that the reduced picture has at least."""

WIDE_SHARE = 0.2
"""Of the largest map's pixels that a layer must touch to be part of the sweep."""


def with_sweep(layers: Sequence[Layer], size: Size) -> list[Layer]:
    """The same layers, those that touch a fifth or more of the largest map's pixels taken as one sweep."""
    areas = [height * width for height, width in (size, *output_sizes(layers, size))]
    wide = [i for i in range(len(layers)) if max(areas[i], areas[i + 1]) >= WIDE_SHARE * max(areas)]
    first, stop = wide[0], wide[-1] + 1
    steps = [layer for layer in layers[first:stop] if isinstance(layer, Convolution)]
    if len(steps) != stop - first:
        return list(layers)
    return [*layers[:first], Sweep.of(steps), *layers[stop:]]


@dataclass(frozen=True, kw_only=True)
class Sweep(Layer):
    """Consecutive convolutions taken as one layer."""

    looks_everywhere = True
    steps: tuple[Convolution, ...]

    @classmethod
    def of(cls, steps: Sequence[Convolution]) -> Sweep:
        """Named from its first step to its last."""
        return cls(name=f"{steps[0].name} to {steps[-1].name}", channels=steps[-1].channels, steps=tuple(steps))

    @property
    def modules(self) -> list[nn.Module]:
        """Those of all steps."""
        return [module for step in self.steps for module in step.modules]

    @property
    def width(self) -> int:
        """Values per pixel of the output that a tile has in memory at its widest."""
        return max(step.channels for step in self.steps)

    def work(self, size: Size) -> int:
        """Multiplications for `size` pixels of output, without the halo."""
        per_pixel, scale = Fraction(0), Fraction(1)
        for step in reversed(self.steps):
            per_pixel += step.work((1, 1)) / scale**2
            scale *= step.scale
        return size[0] * size[1] * round(per_pixel)

    def out_size(self, size: Size) -> Size:
        """The size of the map that the last step writes."""
        return output_sizes(self.steps, size)[-1]

    def window(self, keep: Box, size: Size, wrap: Axes) -> Box:
        """The tile with the halo of all steps."""
        return self._windows(keep, size, self._wrapped(wrap))[0]

    def _wrapped(self, wrap: Axes) -> Axes:
        """The closed axes: of all steps, if of one."""
        each = [step.wrapped(wrap) for step in self.steps]
        return any(axes[0] for axes in each), any(axes[1] for axes in each)

    def _windows(self, keep: Box, size: Size, wrap: Axes) -> list[Box]:
        """What is needed of every map, from the input to `keep` of the output."""
        boxes = [keep]
        sizes = [size, *output_sizes(self.steps, size)[:-1]]
        for step, before in zip(reversed(self.steps), reversed(sizes), strict=True):
            boxes.insert(0, step.window(boxes[0], before, wrap))
        return boxes

    def prepare(self, before: Paths, work: Workspace) -> list[SharedNorm | None]:
        """The norm of every step on a reduced picture; it has no borders of its own, so it is closed to a ring."""
        picture = reduced(before.main, self._reduced_area(before.main.size, work.elements)).to(work.device)
        alone = replace(work.options, sharing=ALONE, progress=lambda done, total: None)
        options = replace(alone, mode="exact", wrap=(True, True))
        inner = workspace(self.steps, picture, options, work.recovery, work.elements)
        norms: list[SharedNorm | None] = []
        run(self.steps, picture, inner, norms)
        return norms

    def _reduced_area(self, size: Size, elements: int) -> int:
        """Pixels of the reduced picture: as many as a tile may have, at least a fixed share of the map's."""
        scale = math.prod(float(step.scale) for step in self.steps)
        return max(int(elements / self.width / max(scale, 1.0) ** 2), int(REDUCED_SHARE * whole(size).area))

    def tile(
        self, keep: Box, before: Paths, prepared: Any, work: Workspace, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The tile, through all steps."""
        size = before.main.size
        work = replace(work, wrap=self._wrapped(work.wrap))
        first, *boxes = self._windows(keep, size, work.wrap)
        paths = Paths(_Patch(size, before.main.channels, {first: before.main.read(first).to(work.device, dtype)}))
        sizes = output_sizes(self.steps, size)
        for step, norm, box, after in zip(self.steps, prepared, boxes, sizes, strict=True):
            main, skip = step.tile(box, paths, norm, work, dtype)
            around = paths.main if step.branch == "input" else paths.skip
            if skip is not None:
                around = _Patch(after, step.channels, {box: skip})
            paths = Paths(_Patch(after, step.channels, {box: main}), None if step.join else around)
        return main, None


class _Patch(Map):
    """A part of a map, in coordinates that may lie beyond the border of a ring."""

    def read(self, window: Box) -> Tensor:
        """The window, which lies in the only piece."""
        ((box, tensor),) = self.pieces.items()
        return tensor if window == box else window.of(tensor, (box.top, box.left)).clone()


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
