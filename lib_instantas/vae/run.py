"""Runs the passes of an autoencoder tile by tile, and goes on where a tile fails."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lib_instantas.denoiser import is_out_of_memory
from lib_instantas.tiling import Size
from lib_instantas.vae.estimate import stage_bytes
from lib_instantas.vae.field import Box, Field, grid
from lib_instantas.vae.fused import Sweep, SweepTask, with_sweep
from lib_instantas.vae.options import Interrupted, Options, Recovery
from lib_instantas.vae.passes import Convolution, Pass
from lib_instantas.vae.statistics import Moments, Normalisation, Statistics
from lib_instantas.vae.tasks import (
    AttentionTask,
    ConvolutionTask,
    Stage,
    Surroundings,
    Task,
    TileResult,
    normalisation_of,
)

logger = logging.getLogger(__name__)

SMALLEST_AREA = 64
"""Stage pixels of a tile that is not halved any further when memory runs out."""

SHARE_OF_FREE_MEMORY = 0.6
"""The stages are kept on the device when they take at most this share of what is free there."""


class Run:
    """One pass through an encoder or decoder. Made anew for every call; holds no module state."""

    def __init__(self, passes: Sequence[Pass], source: Tensor, options: Options, recovery: Recovery) -> None:
        size = (source.shape[-2], source.shape[-1])
        self.passes = with_sweep(passes, size) if options.mode == "fast" else list(passes)
        self.options = options
        self.recovery = recovery
        self.source = source
        self.sizes = output_sizes(self.passes, size)
        elements = tile_elements(passes, output_sizes(passes, size), options.tile)
        self.around = Surroundings(source.device, options.wrap, elements, recovery)
        self.store = self._store_device()
        self.normalisations: list[Normalisation | None] = []
        self._warned: set[str] = set()
        self.work = 0
        self.total = sum(step.work(size) for step, size in zip(self.passes, self.sizes, strict=True))

    def __call__(self) -> Tensor:
        """The output map, in the dtype and on the device of the source."""
        stage = Stage(Field.of(self.source))
        for index in range(len(self.passes)):
            stage = self._run_pass(index, stage)
        result = stage.main.read(Box(0, 0, *stage.main.size))
        return result.to(self.source.device, self.source.dtype)

    def _run_pass(self, index: int, stage: Stage) -> Stage:
        step, last = self.passes[index], index == len(self.passes) - 1
        measure = not last and self.passes[index + 1].norm is not None
        task = self._task(step, stage, measure)
        tiles = grid(self.sizes[index], max(1, self.around.elements // self._widest(index)))
        output = _Output(step, stage, self.sizes[index], measure)
        output.reserve(task, tiles)
        for tile in tiles:
            self._run_tile(task, tile, output)
            output.release(task, tile)
        return output.stage()

    def _task(self, step: Pass | Sweep, stage: Stage, measure: bool) -> Task:
        if isinstance(step, Sweep):
            return SweepTask(step, stage, self.around, measure, self._statistics_of)
        normalisation = normalisation_of(step.norm, stage, self.around)
        self.normalisations.append(normalisation)
        if isinstance(step, Convolution):
            return ConvolutionTask(step, stage, self.around, measure, normalisation)
        assert normalisation is not None
        return AttentionTask(step, stage, self.around, measure, normalisation)

    def _statistics_of(self, steps: Sequence[Convolution], picture: Tensor) -> list[Normalisation | None]:
        """What the norms of these passes are on a reduced picture; it has no borders of its own, so it wraps."""
        options = replace(self.options, mode="exact", wrap=(True, True), progress=lambda done, total: None)
        run = Run(steps, picture.to(self.source.device), options, self.recovery)
        run.around.elements = self.around.elements
        run()
        return run.normalisations

    def _widest(self, index: int) -> int:
        before = self.passes[index - 1].channels if index else self.source.shape[1]
        return max(before, self.passes[index].width)

    def _run_tile(self, task: Task, tile: Box, output: _Output) -> None:
        """Compute and keep one tile; in halves, and these in halves, if there is not enough memory."""
        pending = deque([tile])
        while pending:
            if self.options.interrupted():
                raise Interrupted
            part = pending.popleft()
            result = self._attempt(task, part)
            if result is None:
                pending.extendleft(reversed(part.halves()))
                continue
            output.put(part, result)
            self.work += task.step.work(part.size)
            self.options.progress(self.work, self.total)

    def _attempt(self, task: Task, tile: Box) -> TileResult | None:
        """The tile, redone in float32 if it was not finite; None when memory ran out."""
        try:
            result = task.compute(tile)
            if not result.finite:
                result = self._redo(task, tile)
            return result.kept(self.store, self.source.dtype)
        except (torch.cuda.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or tile.area <= SMALLEST_AREA:
                raise
            logger.warning("InstantAS: out of memory in VAE %s, going on with tiles of half the size", task.step.name)
        # Outside the handler: only now are the failed tensors free.
        self._make_room()
        return None

    def _redo(self, task: Task, tile: Box) -> TileResult:
        level = logging.DEBUG if task.step.name in self._warned else logging.WARNING
        self._warned.add(task.step.name)
        logger.log(level, "InstantAS: NaN or Inf in VAE %s, tile %s: redone in float32", task.step.name, tile)
        result = task.compute(tile, torch.float32)
        self.recovery.redone += 1
        if not result.finite:
            self.recovery.unresolved += 1
        return result

    def _make_room(self) -> None:
        self.recovery.halved += 1
        self.around.elements = max(self.around.elements // 2, 1)
        self.store = torch.device("cpu")
        if self.source.device.type == "cuda":
            torch.cuda.empty_cache()

    def _store_device(self) -> torch.device:
        device = self.source.device
        if self.options.store == "main":
            return torch.device("cpu")
        if self.options.store == "device" or device.type != "cuda":
            return device
        free, _ = torch.cuda.mem_get_info(device)
        size = (self.source.shape[-2], self.source.shape[-1])
        needed = self.source.shape[0] * stage_bytes(self.passes, size, self.source.element_size())
        return device if needed <= SHARE_OF_FREE_MEMORY * free else torch.device("cpu")


class _Output:
    """The stage that a pass writes, and the release of the one that it reads."""

    def __init__(self, step: Pass | Sweep, before: Stage, size: Size, measure: bool) -> None:
        self.before = before
        self.main = Field(size)
        self.skip = before.skip
        self.statistics = Statistics() if measure else None
        self.joins = isinstance(step, Convolution) and step.join
        self.keeps_input = isinstance(step, Convolution) and step.branch == "input"
        if isinstance(step, Convolution) and step.branch is not None:
            self.skip = before.main if self.keeps_input else Field(size)

    def reserve(self, task: Task, tiles: list[Box]) -> None:
        if not self.keeps_input:
            self.before.main.reserve(task.window(tile) for tile in tiles)
        if self.joins and self.before.skip is not None:
            self.before.skip.reserve(tiles)

    def release(self, task: Task, tile: Box) -> None:
        if not self.keeps_input:
            self.before.main.release(task.window(tile))
        if self.joins and self.before.skip is not None:
            self.before.skip.release(tile)

    def put(self, tile: Box, result: TileResult) -> None:
        self.main.pieces[tile] = result.main
        if result.skip is not None and self.skip is not None:
            self.skip.pieces[tile] = result.skip
        if self.statistics is not None:
            self.statistics.add(result.moments or Moments.of(result.main))

    def stage(self) -> Stage:
        return Stage(self.main, None if self.joins else self.skip, self.statistics)


def output_sizes(passes: Sequence[Pass | Sweep], size: Size) -> list[Size]:
    """The size of each pass's output for an input of `size`."""
    sizes = []
    for step in passes:
        size = step.out_size(size)
        sizes.append(size)
    return sizes


def tile_elements(passes: Sequence[Pass | Sweep], sizes: Sequence[Size], tile: int) -> int:
    """How many values a tile of a stage may have: those of `tile` x `tile` pixels in the widest stage at full size."""
    largest = max(size[0] * size[1] for size in sizes)
    widest = max(step.channels for step, size in zip(passes, sizes, strict=True) if size[0] * size[1] == largest)
    return tile * tile * widest
