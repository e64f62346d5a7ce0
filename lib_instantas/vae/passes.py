"""Takes a map through the layers of an autoencoder tile by tile, and goes on where a tile fails."""

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
from torch import Tensor, nn

from lib_instantas.device import free_bytes, is_out_of_memory, shares_main_memory
from lib_instantas.tiling import Size
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.maps import Box, Map, Paths, grid, whole
from lib_instantas.vae.norm import Moments, sum_in_float, wider
from lib_instantas.vae.options import Interrupted, Options, Recovery, Workspace
from lib_instantas.vae.shared_maps import borrow, share_moments, share_pieces

logger = logging.getLogger(__name__)

SMALLEST_AREA = 64
"""Map pixels of a tile that is not halved any further when memory runs out."""

SHARE_OF_FREE_MEMORY = 0.6
"""The maps are kept on the device when they take at most this share of what is free there."""


def run(layers: Sequence[Layer], source: Tensor, work: Workspace, prepared: list[Any] | None = None) -> Tensor:
    """The last layer's map, in the dtype and on the device of the source; adds what each layer had `prepared`."""
    paths = Paths(Map.of(source))
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        measure = following is not None and following.norm is not None
        done = Pass(layer, paths, work, measure)
        paths = done.run()
        if prepared is not None:
            prepared.append(done.prepared)
        del done
    if not work.options.sharing.alone:
        share_pieces(paths.main, work)
    return paths.main.read(whole(paths.main.size)).to(source.device, source.dtype)


def workspace(layers: Sequence[Layer], source: Tensor, options: Options, recovery: Recovery, tile: int) -> Workspace:
    """What these layers share for one call, with tiles of so many elements."""
    sizes = output_sizes(layers, (source.shape[-2], source.shape[-1]))
    return Workspace(
        device=source.device,
        store=_store(layers, source, options),
        dtype=source.dtype,
        wrap=options.wrap,
        elements=tile,
        options=options,
        recovery=recovery,
        total=sum(layer.work(size) for layer, size in zip(layers, sizes, strict=True)),
    )


def _store(layers: Sequence[Layer], source: Tensor, options: Options) -> torch.device:
    """Where the maps between the layers are kept: on the device if they fit."""
    device = source.device
    if options.store == "main":
        return torch.device("cpu")
    free = None if options.store == "device" or shares_main_memory(device) else free_bytes(device)
    if free is None:
        return device
    needed = source.shape[0] * map_bytes(layers, (source.shape[-2], source.shape[-1]), source.element_size())
    return device if needed <= SHARE_OF_FREE_MEMORY * free else torch.device("cpu")


class Pass:
    """One layer over a whole map: reads the map before it in tiles, and frees it as it goes.

    A tile is computed, measured and kept without looking at its values; what says whether it is finite is read once
    for a whole row of tiles, since a device that is asked for a value must first finish all that it has been given.
    """

    def __init__(self, layer: Layer, before: Paths, work: Workspace, measure: bool) -> None:
        self.layer = layer
        self.before = before
        self.work = work
        self.measure = measure
        self.prepared: Any = None
        size = layer.out_size(before.main.size)
        skip = (
            before.skip
            if layer.branch is None
            else before.main
            if layer.branch == "input"
            else Map(size, layer.channels)
        )
        self.after = Paths(Map(size, layer.channels), None if layer.join else skip)
        self._written = [self.after.main, skip] if isinstance(layer.branch, nn.Module) and skip else [self.after.main]
        self._is_prepared = self._is_precise = self._warned = False

    def run(self) -> Paths:
        """All tiles, row by row; where processes share the work, this one's."""
        widest = max(self.before.main.channels, self.layer.width)
        tiles = grid(self.after.main.size, max(1, self.work.elements // widest))
        if self.work.options.sharing.alone:
            self._reserve(tiles)
            self._make(tiles)
        else:
            self._make_together(tiles)
        return self.after

    def _reserve(self, tiles: list[Box]) -> None:
        for map_, window in self._readings(tiles):
            map_.reserve([window])

    def _make(self, tiles: list[Box]) -> None:
        for row in self._rows(tiles):
            self._settle([made for tile in row for made in self._fill(tile)])
            for map_, window in self._readings(row):
                map_.release(window)

    def _make_together(self, tiles: list[Box]) -> None:
        """One stretch of the tiles, with what lies beside it borrowed from those who made it."""
        sharing = self.work.options.sharing
        stretches = sharing.stretches(tiles, lambda tile: tile.area)
        maps = [self.before.main, *([self.before.skip] if self.layer.join and self.before.skip else [])]
        borrow(maps, [list(self._read_of(stretch)) for stretch in stretches], self.work)
        mine = stretches[sharing.rank]
        self._reserve(mine)
        if not self.layer.looks_everywhere:
            for map_, _ in self._readings(tiles[:1]):
                map_.drop_unread()
        self._make(mine)
        for map_ in maps:
            map_.give_back()
        if self.measure:
            share_moments(self.after.main, self.work)
        others = [tile for stretch in stretches if stretch is not mine for tile in stretch]
        self.work.advance(sum(self.layer.work(tile.size) for tile in others))

    def _read_of(self, tiles: list[Box]) -> Iterator[tuple[int, Box]]:
        """What these tiles read of the main map (0) and of the path around (1)."""
        size = self.before.main.size
        if tiles and self.layer.looks_everywhere:
            yield 0, whole(size)
        for tile in tiles:
            if not self.layer.looks_everywhere:
                yield 0, self.layer.window(tile, size, self.work.wrap)
            if self.layer.join:
                yield 1, tile

    def _rows(self, tiles: list[Box]) -> list[list[Box]]:
        """What is checked at once; where every tile is moved off the device, that waits anyway."""
        if self.work.store != self.work.device:
            return [[tile] for tile in tiles]
        return [list(row) for _, row in groupby(tiles, key=attrgetter("top"))]

    def _readings(self, tiles: Iterable[Box]) -> Iterator[tuple[Map, Box]]:
        """The maps that nobody needs after this pass, with what each tile reads of them."""
        main, skip = self.before.main, self.before.skip
        for tile in tiles:
            if self.after.skip is not main:
                yield main, self.layer.window(tile, main.size, self.work.wrap)
            if self.layer.join and skip is not None:
                yield skip, tile

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
                self.work.advance(self.layer.work(part.size))
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
        for map_ in (self.before.main, self.before.skip, self.after.main, self.after.skip):
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
        self.after.main.pieces[tile] = self._stored(main)
        if skip is not None:
            self._written[1].pieces[tile] = self._stored(skip)
        if moments is not None:
            self.after.main.moments[tile] = moments
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


def read_back(numbers: list[Tensor]) -> list[float]:
    """The values of tensors of one number, all in one transfer."""
    return torch.stack(numbers).cpu().tolist()


def output_sizes(layers: Sequence[Layer], size: Size) -> list[Size]:
    """The size of each layer's output for an input of `size`."""
    sizes = []
    for layer in layers:
        size = layer.out_size(size)
        sizes.append(size)
    return sizes


def tile_elements(layers: Sequence[Layer], size: Size, tile: int) -> int:
    """How many values a tile may have for an input of `size`: `tile` x `tile` pixels of the widest map at full size."""
    sizes = output_sizes(layers, size)
    largest = max(size[0] * size[1] for size in sizes)
    widest = max(layer.channels for layer, size in zip(layers, sizes, strict=True) if size[0] * size[1] == largest)
    return tile * tile * widest


def map_bytes(layers: Sequence[Layer], size: Size, itemsize: int) -> int:
    """The most that the maps between the layers take at once, in bytes for one picture.

    A pass frees what it has read as it goes, so that input and output share the larger of their sizes; the path
    around a residual block lies beside them.
    """
    peak, main, skip = 0, 0, 0
    for layer in layers:
        size = layer.out_size(size)
        output = layer.channels * size[0] * size[1] * itemsize
        if layer.branch == "input":
            skip = main
            peak = max(peak, main + output)
        elif layer.branch is not None:
            skip = output
            peak = max(peak, main, 2 * output)
        else:
            peak = max(peak, max(main, output) + skip)
        skip = 0 if layer.join else skip
        main = output
    return peak


def untiled_bytes(layers: Sequence[Layer], size: Size, in_channels: int, itemsize: int) -> int:
    """About what the untiled network has on the device at its peak, in bytes for one picture, weights apart.

    A norm and an activation each make a copy of their input before the convolution makes its output; the input itself
    stays as the residual. The workspace of the convolutions is not counted.
    """
    peak, channels, held = 0, in_channels, 0
    for layer in layers:
        before = channels * size[0] * size[1]
        size, channels = layer.out_size(size), layer.channels
        after = channels * size[0] * size[1]
        held = held if layer.branch is None else before
        copies = 0 if layer.norm is None else 2
        inputs = (1 + copies) * before if held in (0, before) else held + copies * before
        peak = max(peak, inputs + after)
        held = 0 if layer.join else held
    return peak * itemsize
