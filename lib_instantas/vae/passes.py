"""Takes a map through the layers of an autoencoder tile by tile, and goes on where a tile fails."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lib_instantas.denoiser import is_out_of_memory
from lib_instantas.tiling import Size
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.maps import Box, Map, Paths, grid
from lib_instantas.vae.norm import Moments, sum_in_float, wider
from lib_instantas.vae.options import Interrupted, Options, Recovery, Workspace

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
    return paths.main.read(Box(0, 0, *paths.main.size)).to(source.device, source.dtype)


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
    if options.store == "device" or device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    needed = source.shape[0] * map_bytes(layers, (source.shape[-2], source.shape[-1]), source.element_size())
    return device if needed <= SHARE_OF_FREE_MEMORY * free else torch.device("cpu")


class Tile(NamedTuple):
    """What a layer made of a tile: of the main path with its moments, if asked for, and of the path around."""

    main: Tensor
    skip: Tensor | None
    moments: Moments | None

    @property
    def finite(self) -> bool:
        """Whether it holds neither NaN nor infinity."""
        check = sum_in_float(self.main) if self.moments is None else self.moments.deviation.sum()
        parts = [check] if self.skip is None else [check, sum_in_float(self.skip)]
        return all(bool(torch.isfinite(part)) for part in parts)


class Pass:
    """One layer over a whole map: reads the map before it in tiles, and frees it as it goes."""

    def __init__(self, layer: Layer, before: Paths, work: Workspace, measure: bool) -> None:
        self.layer = layer
        self.before = before
        self.work = work
        self.measure = measure
        self.prepared: Any = None
        size = layer.out_size(before.main.size)
        skip = before.skip if layer.branch is None else before.main if layer.branch == "input" else Map(size)
        self.after = Paths(Map(size), None if layer.join else skip)
        self._unready = True
        self._warned = False

    def run(self) -> Paths:
        """All tiles, one after another."""
        widest = max(self.before.main.channels, self.layer.width)
        tiles = grid(self.after.main.size, max(1, self.work.elements // widest))
        reading = [(map_, self._read(map_, tile)) for tile in tiles for map_ in self._freed()]
        for map_, window in reading:
            map_.reserve([window])
        for tile in tiles:
            self._fill(tile)
            for map_ in self._freed():
                map_.release(self._read(map_, tile))
        return self.after

    def _freed(self) -> list[Map]:
        """The maps that nobody needs after this pass."""
        main = [] if self.after.skip is self.before.main else [self.before.main]
        return [*main, self.before.skip] if self.layer.join and self.before.skip is not None else main

    def _read(self, map_: Map, tile: Box) -> Box:
        """What a tile reads of a map."""
        return self.layer.window(tile, map_.size, self.work.wrap) if map_ is self.before.main else tile

    def _fill(self, tile: Box) -> None:
        """Compute and keep one tile; in halves, and these in halves, if there is not enough memory."""
        pending = deque([tile])
        while pending:
            if self.work.options.interrupted():
                raise Interrupted
            part = pending.popleft()
            if self._attempt(part):
                self.work.advance(self.layer.work(part.size))
            else:
                pending.extendleft(reversed(part.halves()))

    def _attempt(self, tile: Box) -> bool:
        """Compute and keep a tile, redone in float32 if it was not finite; False when memory ran out."""
        try:
            made = self._compute(tile)
            self._keep(tile, made if made.finite else self._redo(tile))
            return True
        except (torch.cuda.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or tile.area <= SMALLEST_AREA:
                raise
            logger.warning("InstantAS: out of memory in VAE %s, going on with tiles of half the size", self.layer.name)
        # Outside the handler: only now are the failed tensors free.
        self.work.make_room()
        return False

    def _compute(self, tile: Box, dtype: torch.dtype | None = None) -> Tile:
        if self._unready:
            self.prepared = self.layer.prepare(self.before, self.work)
            self._unready = False
        main, skip = self.layer.tile(tile, self.before, self.prepared, self.work, dtype)
        return Tile(main, skip, Moments.of(main) if self.measure else None)

    def _redo(self, tile: Box) -> Tile:
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        logger.log(level, "InstantAS: NaN or Inf in VAE %s, tile %s: redone in float32", self.layer.name, tile)
        made = self._compute(tile, torch.float32)
        self.work.recovery.redone += 1
        if not made.finite:
            self.work.recovery.unresolved += 1
        return made

    def _keep(self, tile: Box, made: Tile) -> None:
        self.after.main.pieces[tile] = self._stored(made.main)
        if made.skip is not None and self.after.skip is not None:
            self.after.skip.pieces[tile] = self._stored(made.skip)
        if made.moments is not None:
            self.after.main.moments.append(made.moments)

    def _stored(self, part: Tensor) -> Tensor:
        """On the store's device, without the halo it may be a view into, and as narrow as its values allow."""
        dtype = self.work.dtype
        if wider(part.dtype, dtype) != dtype and bool(part.abs().amax() <= torch.finfo(dtype).max):
            part = part.to(dtype)
        part = part.to(self.work.store)
        return part if part.is_contiguous() else part.clone(memory_format=torch.contiguous_format)


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
