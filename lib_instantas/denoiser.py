"""The model for a canvas of any size: plan the tiles, evaluate them in batches, assemble the predictions."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from lib_instantas.device import empty_cache, is_out_of_memory
from lib_instantas.fusion import Averaging, assemble, canvas_scale, cut
from lib_instantas.methods import Method, Recurring
from lib_instantas.processes import ALONE, Kind, Processes
from lib_instantas.tiling import Size, Tile, TilePlan

logger = logging.getLogger(__name__)

AUTO_BATCH_PIXELS = 8 * 64 * 64
"""Rows x latent pixels that "auto" sends through the UNet at once on a GPU; more gave no speed."""

AUTO_BATCH_PIXELS_CPU = 2 * 64 * 64
"""The same on a CPU: a 512-pixel tile with guidance, four of Small World's (`python -m benchmarks.cost --batches`)."""


@dataclass(frozen=True)
class ModelCall:
    """One call of the model: `rows` rows for the first tile, then as many for the next, and so on.

    `evaluation` is the sampler's, counted from 0.
    """

    plan: TilePlan
    tiles: tuple[Tile, ...]
    rows: int
    evaluation: int = 0


Tell = Callable[[ModelCall, dict[str, Any]], dict[str, Any]]
"""Makes of the conditioning of one call what the model is to be told: see `lib_instantas.told_size`."""

Part = Callable[[ModelCall], AbstractContextManager[Any]]
"""What takes part in a model call, entered around it; what it changes for the tiles of the call it restores on exit."""


class TiledDenoiser:
    """A model of one size asked about a canvas of any size; same signature, same shapes in and out.

    `model(x, sigma, **conditioning)` is called with tiles of x [B, C, H, W] stacked along the rows. Tensors in the
    conditioning that lie on the canvas are cut with each tile, all others are repeated for it. A sampler may need
    several calls for one evaluation (conditional and unconditional apart): all of them share one plan, until
    `next_evaluation` is called. `before_batch` is called before each batch and may raise to stop the sampling; `tell`
    makes of the conditioning of a call what the model is told. `processes` are those that an evaluation's tiles
    are divided among, all asked the same.
    """

    def __init__(
        self,
        model: Callable[..., Tensor],
        method: Method,
        *,
        tile_batch: int = 0,
        parts: Sequence[Part] = (),
        before_batch: Callable[[], None] = lambda: None,
        tell: Tell = lambda call, conditioning: conditioning,
        processes: Processes = ALONE,
    ) -> None:
        self.model = model
        self.method = method
        self.tile_batch = tile_batch
        self.parts = tuple(parts)
        self.before_batch = before_batch
        self.tell = tell
        self.processes = processes
        self.evaluation = 0
        self._memory = _PredictionMemory()
        self._averaging = Averaging()
        self._batch_limit: int | None = None

    def next_evaluation(self) -> None:
        """Say that the sampler's next evaluation begins, so that the grid moves on."""
        self.evaluation += 1
        self._memory.rewind()

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for the whole canvas, [B, C, H, W] like x; sigma is one value or one per row [B]."""
        previous = self._memory.recall(x.shape)
        plan = self._plan(previous)
        if plan.is_whole_canvas:
            return self._call_model(plan, plan.tiles, x, sigma, conditioning)
        if isinstance(self.method, Recurring):
            self._averaging.bring(self.method.plans, x.device)
        if self.processes.alone:
            predictions = self._predictions(plan, plan.tiles, x, sigma, conditioning)
        else:
            predictions = self._exchanged(plan, x, sigma, conditioning)
        prediction = assemble(plan, predictions, previous, self._averaging)
        self._memory.keep(prediction)
        return prediction

    def _plan(self, previous: Tensor | None) -> TilePlan:
        """This evaluation's plan; where pixels would be left out that have no last prediction, the covering first one.

        The number of rows changes when a sampler skips the unconditional pass for a while.
        """
        plan = self.method.plan(self.evaluation)
        return self.method.plan(0) if previous is None and plan.uncovered else plan

    def _exchanged(
        self, plan: TilePlan, x: Tensor, sigma: Tensor, conditioning: dict[str, Any]
    ) -> Iterator[tuple[Tile, Tensor]]:
        """Every tile with its prediction, made by one of the processes each, in the order of one process.

        Where there are more processes than tiles, one that has none makes one all the same, to know what they are like.
        """
        of_each = self.divided(plan)
        mine = of_each[self.processes.rank]
        made = dict(self._predictions(plan, tuple(mine or plan.tiles[:1]), x, sigma, conditioning))
        like = next(iter(made.values()))
        kinds = [[Kind((*like.shape[:2], *tile.size), like.dtype) for tile in tiles] for tiles in of_each]
        answers = self.processes.exchange([made[tile] for tile in mine], kinds, x.device)
        for tiles, predictions in zip(of_each, answers, strict=True):
            made |= zip(tiles, predictions, strict=True)
        for tile in sorted(plan.tiles, key=lambda tile: tile.size):
            yield tile, made[tile]

    def divided(self, plan: TilePlan) -> list[list[Tile]]:
        """Which tiles of a plan are whose, process by process."""
        return self.processes.divided(plan.tiles, lambda tile: tile.size[0] * tile.size[1])

    def calls(self, plan: TilePlan, x: Tensor) -> list[tuple[Tile, ...]]:
        """The tiles that this process would ask the model about for a canvas x, call by call."""
        return self._batches(plan, tuple(self.divided(plan)[self.processes.rank]), x)

    def _predictions(
        self, plan: TilePlan, tiles: tuple[Tile, ...], x: Tensor, sigma: Tensor, conditioning: dict[str, Any]
    ) -> Iterator[tuple[Tile, Tensor]]:
        """These tiles with their predictions; a batch that does not fit into memory is halved."""
        pending = self._batches(plan, tiles, x)
        while pending:
            batch = pending.pop(0)
            prediction = self._call_unless_out_of_memory(plan, batch, x, sigma, conditioning)
            if prediction is None:
                self._batch_limit = len(batch) // 2
                pending = [chunk for one in (batch, *pending) for chunk in _chunks(one, self._batch_limit)]
                continue
            yield from zip(batch, prediction.chunk(len(batch)), strict=True)

    def _batches(self, plan: TilePlan, tiles: tuple[Tile, ...], x: Tensor) -> list[tuple[Tile, ...]]:
        """Tiles of equal size, as many at once as the setting, or the device, takes; all, if they belong together."""
        if plan.together:
            return [tiles]
        by_size = groupby(sorted(tiles, key=lambda tile: tile.size), key=lambda tile: tile.size)
        return [chunk for size, alike in by_size for chunk in _chunks(tuple(alike), self._batch_size(size, x))]

    def _batch_size(self, size: Size, x: Tensor) -> int:
        pixels = AUTO_BATCH_PIXELS_CPU if x.device.type == "cpu" else AUTO_BATCH_PIXELS
        automatic = max(1, pixels // (x.shape[0] * size[0] * size[1]))
        return min(self.tile_batch or automatic, self._batch_limit or self.tile_batch or automatic)

    def _call_unless_out_of_memory(
        self, plan: TilePlan, tiles: tuple[Tile, ...], x: Tensor, sigma: Tensor, conditioning: dict[str, Any]
    ) -> Tensor | None:
        try:
            return self._call_tiles(plan, tiles, x, sigma, conditioning)
        except (RuntimeError, MemoryError) as error:
            if len(tiles) == 1 or plan.together or not is_out_of_memory(error):
                raise
            logger.warning("InstantAS: out of memory with %d tiles at once, going on with half of them", len(tiles))
        # Outside the handler: only now are the failed tensors free.
        empty_cache(x.device)
        return None

    def _call_tiles(
        self, plan: TilePlan, tiles: tuple[Tile, ...], x: Tensor, sigma: Tensor, conditioning: dict[str, Any]
    ) -> Tensor:
        def for_tiles(value: Tensor) -> Tensor:
            if value.ndim >= 4 and canvas_scale(value, plan.canvas):
                return torch.cat([cut(value, plan, tile) for tile in tiles])
            if value.ndim and value.shape[0] == x.shape[0]:
                return value.repeat(len(tiles), *[1] * (value.ndim - 1))
            return value

        return self._call_model(plan, tiles, for_tiles(x), for_tiles(sigma), map_tensors(for_tiles, conditioning))

    def _call_model(
        self, plan: TilePlan, tiles: tuple[Tile, ...], x: Tensor, sigma: Tensor, conditioning: dict[str, Any]
    ) -> Tensor:
        self.before_batch()
        call = ModelCall(plan, tiles, x.shape[0] // len(tiles), self.evaluation)
        with ExitStack() as entered:
            for part in self.parts:
                entered.enter_context(part(call))
            return self.model(x, sigma, **self.tell(call, conditioning))


class _PredictionMemory:
    """The last prediction of each model call of an evaluation, for pixels that no tile covers."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []
        self._call = 0

    def rewind(self) -> None:
        self._call = 0

    def recall(self, shape: torch.Size) -> Tensor | None:
        known = self._kept[self._call] if self._call < len(self._kept) else None
        return known if known is not None and known.shape == shape else None

    def keep(self, prediction: Tensor) -> None:
        self._kept[self._call : self._call + 1] = [prediction]
        self._call += 1


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The same nest of dicts, lists and tuples with every tensor replaced."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: map_tensors(function, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(function, item) for item in value)
    return value


def _chunks(tiles: tuple[Tile, ...], limit: int) -> list[tuple[Tile, ...]]:
    """The tiles in as few batches as the limit allows, as equal as can be: every other length is another shape."""
    size = math.ceil(len(tiles) / math.ceil(len(tiles) / limit))
    return [tiles[i : i + size] for i in range(0, len(tiles), size)]
