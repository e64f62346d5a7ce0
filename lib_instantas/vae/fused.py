"""The fast mode: the widest stages go through a tile in one sweep, with statistics estimated from a reduced picture.

Nothing of these stages is kept, so main memory does not fill and nothing is moved between it and the device. The
price is a small error of colour and contrast, since the reduced picture's statistics are not quite those of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor, nn

from lib_instantas.tiling import Size
from lib_instantas.vae.field import Axes, Box, Field, whole
from lib_instantas.vae.passes import Attention, Convolution, Pass
from lib_instantas.vae.statistics import Normalisation
from lib_instantas.vae.tasks import ConvolutionTask, Stage, Surroundings, TileResult

REDUCED_SHARE = 1 / 8
"""Of the map's pixels that the reduced picture has at least."""

StatisticsOf = Callable[[Sequence[Convolution], Tensor], list[Normalisation | None]]
"""Runs passes on a reduced picture and returns what each of their norms was."""


@dataclass(frozen=True)
class Sweep:
    """Consecutive convolution passes taken as one."""

    steps: tuple[Convolution, ...]

    norm = None

    @property
    def name(self) -> str:
        """From its first pass to its last."""
        return f"{self.steps[0].name} to {self.steps[-1].name}"

    @property
    def channels(self) -> int:
        """Of its output."""
        return self.steps[-1].channels

    @property
    def width(self) -> int:
        """Values per pixel of the output that a tile has in memory at its widest."""
        return max(step.channels for step in self.steps)

    @property
    def layers(self) -> list[nn.Module]:
        """The modules that hold weights."""
        return [layer for step in self.steps for layer in step.layers]

    def work(self, size: Size) -> int:
        """Multiplications for `size` pixels of output, without the halo."""
        return size[0] * size[1] * round(self._work_per_pixel())

    def _work_per_pixel(self) -> Fraction:
        total, scale = Fraction(0), Fraction(1)
        for step in reversed(self.steps):
            total += step.work((1, 1)) / scale**2
            scale *= step.scale.value
        return total

    def sizes(self, size: Size) -> list[Size]:
        """The sizes of all maps, from its input of `size` to its output."""
        sizes = [size]
        for step in self.steps:
            sizes.append(step.out_size(sizes[-1]))
        return sizes

    def out_size(self, size: Size) -> Size:
        """The size of the map it writes."""
        return self.sizes(size)[-1]

    def wrapped(self, wrap: Axes) -> Axes:
        """The closed axes: of all its passes, if of one."""
        each = [step.wrapped(wrap) for step in self.steps]
        return any(axes[0] for axes in each), any(axes[1] for axes in each)

    def boxes(self, keep: Box, size: Size, wrap: Axes) -> list[Box]:
        """What is needed of every map, from its input to `keep` of its output."""
        boxes = [keep]
        for step, before in zip(reversed(self.steps), reversed(self.sizes(size)[:-1]), strict=True):
            boxes.insert(0, step.window(boxes[0], before, wrap))
        return boxes

    def window(self, keep: Box, size: Size, wrap: Axes) -> Box:
        """What it must read of its input, of `size`, to compute `keep` of its output."""
        return self.boxes(keep, size, self.wrapped(wrap))[0]


def with_sweep(passes: Sequence[Pass], size: Size) -> list[Pass | Sweep]:
    """The same passes, those that touch a fifth or more of the largest map's pixels taken as one sweep."""
    areas = [size[0] * size[1]]
    for step in passes:
        size = step.out_size(size)
        areas.append(size[0] * size[1])
    wide = [i for i in range(len(passes)) if max(areas[i], areas[i + 1]) >= 0.2 * max(areas)]
    steps = [step for step in passes[wide[0] : wide[-1] + 1] if not isinstance(step, Attention)]
    if len(steps) != wide[-1] + 1 - wide[0]:
        return list(passes)
    return [*passes[: wide[0]], Sweep(tuple(steps)), *passes[wide[-1] + 1 :]]


class Patch(Field):
    """A part of a map, in coordinates that may lie beyond the border of a ring."""

    def read(self, window: Box) -> Tensor:
        """The window, which lies in the only piece."""
        ((box, tensor),) = self.pieces.items()
        return tensor if window == box else window.of(tensor, (box.top, box.left)).clone()


class SweepTask:
    """A sweep with the statistics of the reduced picture."""

    def __init__(
        self, step: Sweep, stage: Stage, around: Surroundings, measure: bool, statistics_of: StatisticsOf
    ) -> None:
        self.step = step
        self.stage = stage
        self.measure = measure
        self._shared = around
        self._wrap = step.wrapped(around.wrap)
        self._statistics_of = statistics_of
        self._normalisations: list[Normalisation | None] = []

    def window(self, keep: Box) -> Box:
        """The tile with the halo of all its passes."""
        return self.step.window(keep, self.stage.main.size, self._wrap)

    def compute(self, keep: Box, dtype: torch.dtype | None = None) -> TileResult:
        """The tile, through all passes."""
        self._normalisations = self._normalisations or self._statistics_of(
            self.step.steps, reduced(self.stage.main, self._reduced_area())
        )
        around = replace(self._shared, wrap=self._wrap)
        size = self.stage.main.size
        boxes, sizes = self.step.boxes(keep, size, self._wrap), self.step.sizes(size)
        source = self.stage.main.read(boxes[0]).to(around.device, dtype)
        stage = Stage(Patch(size, {boxes[0]: source}))
        del source
        for index, step in enumerate(self.step.steps):
            measure = self.measure and step is self.step.steps[-1]
            task = ConvolutionTask(step, stage, around, measure, self._normalisations[index])
            result = task.compute(boxes[index + 1], dtype)
            stage = _next_stage(step, stage, result, sizes[index + 1], boxes[index + 1])
        return result

    def _reduced_area(self) -> int:
        """Pixels of the reduced picture: as many as a tile may have, at least a fixed share of the map's."""
        scale = math.prod(float(step.scale.value) for step in self.step.steps)
        tile = int(self._shared.elements / self.step.width / max(scale, 1.0) ** 2)
        return max(tile, int(REDUCED_SHARE * whole(self.stage.main.size).area))


def _next_stage(step: Convolution, stage: Stage, result: TileResult, size: Size, box: Box) -> Stage:
    skip = stage.skip
    if step.branch == "input":
        skip = stage.main
    elif result.skip is not None:
        skip = Patch(size, {box: result.skip})
    return Stage(Patch(size, {box: result.main}), None if step.join else skip)


def reduced(source: Field, area: int) -> Tensor:
    """Every k-th pixel of every k-th row, about `area` pixels in all; the map itself if it has no more.

    Of the ways tried (means over cells, blocks of neighbouring pixels, this) it came nearest to the statistics of the
    whole.
    """
    height, width = source.size
    step = max(1, math.ceil(math.sqrt(height * width / area)))
    if step == 1:
        return source.read(whole(source.size))
    rows = [source.read(Box(y, 0, y + 1, width)) for y in range(step // 2, height, step)]
    columns = torch.arange(step // 2, width, step, device=rows[0].device)
    return torch.cat([row.index_select(-1, columns) for row in rows], dim=-2)
