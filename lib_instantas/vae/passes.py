"""Takes a map through layers tile by tile, and goes on where a tile fails."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import groupby
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from lib_instantas.device import is_out_of_memory
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.maps import Box, Map, Moments, grid, sum_in_float, wider
from lib_instantas.vae.network import map_bytes, output_sizes
from lib_instantas.vae.workspace import Interrupted, Options, Recovery, Workspace, store_for

logger = logging.getLogger(__name__)

SMALLEST_AREA = 64
"""Map pixels of a tile that is not halved any further when memory runs out."""


def workspace(
    layers: Sequence[Layer], source: Tensor, options: Options, recovery: Recovery, elements: int
) -> Workspace:
    """For taking a map `[batch, channels, height, width]` through these layers in tiles of so many values."""
    size = (source.shape[-2], source.shape[-1])
    sizes = output_sizes(layers, size)
    total = sum(layer.multiplications(after) for layer, after in zip(layers, sizes, strict=True))
    needed = source.shape[0] * map_bytes(layers, size, source.element_size())
    store = store_for(needed, options.store, source.device)
    return Workspace(options, recovery, source.device, store, source.dtype, elements, total)


class Pass:
    """One layer over a whole map: reads the map before it in tiles, and frees it as it goes.

    A tile is computed, measured and kept without looking at its values; what says whether it is finite is read once
    for a whole row of tiles, since a device that is asked for a value must first finish all that it has been given.
    """

    def __init__(self, layer: Layer, before: Map, work: Workspace, measure: bool) -> None:
        self.layer = layer
        self.before = before
        self.work = work
        self.measure = measure
        self.prepared: Any = None
        self.after = Map(layer.out_size(before.size), layer.channels)
        self._written = [self.after]
        self._is_prepared = self._is_precise = self._warned = False
        if not layer.join:
            self.after.skip = self._path_around()

    def _path_around(self) -> Map | None:
        """What the path around a residual block is after this layer."""
        if self.layer.branch is None:
            return self.before.skip
        if self.layer.branch == "input":
            return self.before
        around = Map(self.after.size, self.layer.channels)
        self._written.append(around)
        return around

    def run(self) -> Map:
        """All tiles."""
        tiles = self.tiles()
        self.reserve(tiles)
        self.make(tiles)
        return self.after

    def tiles(self) -> list[Box]:
        """The tiles of the map after it, row by row, none larger than there is memory for."""
        widest = max(self.before.channels, self.layer.width)
        return grid(self.after.size, max(1, self.work.elements // widest))

    def reserve(self, tiles: list[Box]) -> None:
        """Announce what these tiles read."""
        for read, window in self.readings(tiles):
            read.reserve([window])

    def make(self, tiles: list[Box]) -> None:
        """These tiles, row by row; what has been read for the last time is freed."""
        for row in self._rows(tiles):
            self._settle([made for tile in row for made in self._fill(tile)])
            for read, window in self.readings(row):
                read.release(window)

    def readings(self, tiles: Iterable[Box]) -> Iterator[tuple[Map, Box]]:
        """The maps that nobody needs after this pass, with what each tile reads of them."""
        before, skip = self.before, self.before.skip
        for tile in tiles:
            if self.after.skip is not before:
                yield before, self.layer.window(tile, before.size, self.work.options.wrap)
            if self.layer.join and skip is not None:
                yield skip, tile

    def _rows(self, tiles: list[Box]) -> list[list[Box]]:
        """What is checked at once; where every tile is moved off the device, that waits anyway."""
        if self.work.store != self.work.device:
            return [[tile] for tile in tiles]
        return [list(row) for _, row in groupby(tiles, key=attrgetter("top"))]

    def _fill(self, tile: Box, dtype: torch.dtype | None = None) -> list[tuple[Box, Tensor]]:
        """Compute and keep a tile; in halves, and these in halves, if there is not enough memory.

        Returns the parts, each with a number that is finite if all values are (see `_check`).
        """
        pending, made = deque([tile]), []
        while pending:
            if self.work.options.interrupted():
                raise Interrupted
            part = pending.popleft()
            check = self._attempt(part, dtype)
            if check is None:
                pending.extendleft(reversed(part.halves()))
                continue
            made.append((part, check))
            if dtype is None:
                self.work.advance(self.layer.multiplications(part.size))
        return made

    def _attempt(self, tile: Box, dtype: torch.dtype | None) -> Tensor | None:
        """Compute and keep a tile; None when memory ran out."""
        try:
            return self._compute(tile, dtype)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or tile.area <= SMALLEST_AREA:
                raise
            logger.warning("InstantAS: out of memory in VAE %s, going on with tiles of half the size", self.layer.name)
        # Outside the handler: only now are the failed tensors free.
        self.work.make_room()
        for map_ in (self.before, self.before.skip, self.after, self.after.skip):
            if map_ is not None:
                map_.move_to(self.work.store)
        return None

    def _compute(self, tile: Box, dtype: torch.dtype | None) -> Tensor:
        if not self._is_prepared:
            self.prepared = self.layer.prepare(self.before, self.work)
            self._is_prepared = True
        if dtype is not None and not self._is_precise:
            self.prepared = self.layer.prepare_precisely(self.prepared, self.before, self.work)
            self._is_precise = True
        main, skip = self.layer.tile(tile, self.before, self.prepared, self.work, dtype)
        moments = Moments.of(main) if self.measure else None
        check = self._check(main, skip, moments)
        self.after.pieces[tile] = self._stored(main)
        if skip is not None:
            self._written[1].pieces[tile] = self._stored(skip)
        if moments is not None:
            self.after.moments[tile] = moments
        return check

    def _check(self, main: Tensor, skip: Tensor | None, moments: Moments | None) -> Tensor:
        """One number, finite if all values are; the largest of them where they may not fit the maps' dtype."""
        parts = [main] if skip is None else [main, skip]
        if any(self._is_wide(part) for part in parts):
            return reduce(torch.maximum, [part.abs().amax().to(wider(part.dtype, torch.float32)) for part in parts])
        total = sum_in_float(main) if moments is None else moments.deviation.sum()
        return total if skip is None else total + sum_in_float(skip)

    def _is_wide(self, part: Tensor) -> bool:
        return wider(part.dtype, self.work.dtype) != self.work.dtype

    def _stored(self, part: Tensor) -> Tensor:
        """On the store's device, and without the halo it may be a view into."""
        part = part.to(self.work.store)
        return part if part.is_contiguous() else part.clone(memory_format=torch.contiguous_format)

    def _settle(self, made: list[tuple[Box, Tensor]], redone: bool = False) -> None:
        """Read the checks of a row: redo in float32 what is not finite, and keep in the maps' dtype what fits it."""
        boxes = [box for box, _ in made]
        checks = read_back([check for _, check in made])
        wrong = [box for box, check in zip(boxes, checks, strict=True) if not math.isfinite(check)]
        for box, check in zip(boxes, checks, strict=True):
            if check <= torch.finfo(self.work.dtype).max:
                self._narrow(box)
        if redone:
            self.work.recovery.unresolved += len(wrong)
        elif wrong:
            self._redo(wrong)

    def _narrow(self, box: Box) -> None:
        for map_ in self._written:
            if box in map_.pieces and self._is_wide(map_.pieces[box]):
                map_.pieces[box] = map_.pieces[box].to(self.work.dtype)

    def _redo(self, boxes: list[Box]) -> None:
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        logger.log(level, "InstantAS: NaN or Inf in VAE %s, %d tiles: redone in float32", self.layer.name, len(boxes))
        for box in boxes:
            for map_ in self._written:
                map_.pieces.pop(box, None)
                map_.moments.pop(box, None)
        precise = wider(torch.float32, self.work.dtype)
        self._settle([made for box in boxes for made in self._fill(box, precise)], redone=True)
        self.work.recovery.redone += len(boxes)


def run(
    layers: Sequence[Layer],
    source: Tensor,
    work: Workspace,
    prepared: list[Any] | None = None,
    kind: type[Pass] = Pass,
) -> Map:
    """The map that the last layer makes of `source`; adds what each layer had `prepared`."""
    result = Map.of(source)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        measure = following is not None and following.norm is not None
        done = kind(layer, result, work, measure)
        result = done.run()
        if prepared is not None:
            prepared.append(done.prepared)
        del done  # and with it the map before
    return result


def read_back(numbers: list[Tensor]) -> list[float]:
    """The values of tensors of one number, all in one transfer."""
    return torch.stack(numbers).cpu().tolist()
