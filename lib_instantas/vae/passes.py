"""Takes a map through layers tile by tile, and goes on where a tile fails.

Of processes that share the work each makes one stretch of a map's tiles, row by row, so that it needs little of the
others' pieces: the seam of its stretch, and everything only where a layer looks everywhere.
"""

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

from lib_instantas.device import is_out_of_memory
from lib_instantas.processes import Key
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.maps import Box, Map, SharedNorm, grid, sum_in_float, whole, wider
from lib_instantas.vae.workspace import Interrupted, Workspace

logger = logging.getLogger(__name__)

SMALLEST_AREA = 64
"""Map pixels of a tile that is not halved any further when memory runs out."""

Reading = tuple[int, Box]
"""Which of the maps (its number), and the window that is read of it."""


def run(layers: Sequence[Layer], source: Tensor, work: Workspace, norms: list[SharedNorm | None] | None = None) -> Map:
    """The map that the last layer makes of `source`, whole in every process; `norms` gets the norm before each."""
    result = Map.of(source, work.options.wrap)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if norms is not None:
            norms.append(result.norm)
        result = Pass(layer, result, work, None if following is None else following.norm).run()
    if not work.options.processes.alone:
        share_pieces(result, work)
    return result


class Pass:
    """One layer over a whole map: reads the map before it in tiles, and frees it as it goes.

    The tiles of the map after it are measured for the norm that follows. A tile is computed, measured and kept without
    looking at its values; what says whether it is finite is read once for a whole row of tiles, since a device that is
    asked for a value must first finish all that it has been given.
    """

    def __init__(self, layer: Layer, before: Map, work: Workspace, norm: nn.GroupNorm | None) -> None:
        self.layer = layer
        self.before = before
        self.work = work
        self.prepared: Any = None
        self.after = layer.after(before)
        self.after.norm = None if norm is None else SharedNorm(norm)
        self._written = [self.after]
        if self.after.skip is not None and isinstance(layer.branch, nn.Module):
            self._written.append(self.after.skip)
        self._is_prepared = self._is_precise = self._warned = False

    def run(self) -> Map:
        """All tiles, row by row, none larger than there is memory for."""
        tiles = grid(self.after.size, self.layer.most_pixels(self.before, self.work))
        if self.work.options.processes.alone:
            self._reserve(tiles)
            self._make(tiles)
        else:
            self._make_with_others(tiles)
        return self.after

    def _reserve(self, tiles: list[Box]) -> None:
        """Announce what these tiles read."""
        for read, window in self._readings(tiles):
            read.reserve(window)

    def _make(self, tiles: list[Box]) -> None:
        """These tiles, row by row; what has been read for the last time is freed."""
        for row in self._rows(tiles):
            self._settle([made for tile in row for made in self._fill(tile)])
            for read, window in self._readings(row):
                read.release(window)

    def _readings(self, tiles: Iterable[Box]) -> Iterator[tuple[Map, Box]]:
        """The maps that nobody needs after this pass, with what each tile reads of them."""
        before, skip = self.before, self.before.skip
        for tile in tiles:
            if self.after.skip is not before:
                yield before, self.layer.window(tile, before.size, before.wrap)
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
                self.work.advance(self.layer.multiplications(part.size, self.after.size))
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
        self._forget(tile)
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
        parts = self.layer.tile(tile, self.before, self.prepared, self.work, dtype)
        deviation = None if self.after.norm is None else self.after.norm.measure(tile, parts[0])
        check = self._check(parts, deviation)
        self.after.write(tile, [self._stored(part) for part in parts])
        return check

    def _check(self, parts: Sequence[Tensor], deviation: Tensor | None) -> Tensor:
        """One number, finite if all values are; the largest of them where they may not fit the maps' dtype."""
        if any(self._is_wide(part) for part in parts):
            return reduce(torch.maximum, [part.abs().amax().to(wider(part.dtype, torch.float32)) for part in parts])
        main, *around = parts
        total = sum_in_float(main) if deviation is None else deviation.sum()
        return sum(map(sum_in_float, around), total)

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
            self._forget(box)
        precise = wider(torch.float32, self.work.dtype)
        self._settle([made for box in boxes for made in self._fill(box, precise)], redone=True)
        self.work.recovery.redone += len(boxes)

    def _forget(self, tile: Box) -> None:
        for map_ in self._written:
            map_.pieces.pop(tile, None)
        if self.after.norm is not None:
            self.after.norm.moments.pop(tile, None)

    def _make_with_others(self, tiles: list[Box]) -> None:
        """This process's stretch of the tiles; all processes then know the moments of all tiles."""
        processes = self.work.options.processes
        stretches = processes.stretches(tiles, lambda tile: tile.area)
        mine = stretches[processes.rank]
        maps = [self.before, *([self.before.skip] if self.layer.join and self.before.skip else [])]
        borrowed = borrow(maps, [list(self._read_by(stretch)) for stretch in stretches], self.work)
        self._reserve(mine)
        if not self.layer.looks_everywhere:
            self._drop_unread(tiles)
        self._make(mine)
        for read, box in borrowed:
            read.pieces.pop(box, None)
        if self.after.norm is not None:
            share_moments(self.after.norm, self.work)
        others = [tile for stretch in stretches if stretch is not mine for tile in stretch]
        self.work.advance(sum(self.layer.multiplications(tile.size, self.after.size) for tile in others))

    def _read_by(self, tiles: list[Box]) -> Iterator[Reading]:
        """What these tiles read of the main map (0) and of the path around (1)."""
        size = self.before.size
        if tiles and self.layer.looks_everywhere:
            yield 0, whole(size)
        for tile in tiles:
            if not self.layer.looks_everywhere:
                yield 0, self.layer.window(tile, size, self.before.wrap)
            if self.layer.join:
                yield 1, tile

    def _drop_unread(self, tiles: list[Box]) -> None:
        """Free what only the others' tiles would have read here."""
        for read, _ in self._readings(tiles[:1]):
            for box in read.pieces.keys() - read.readers.keys():
                del read.pieces[box]


def read_back(numbers: list[Tensor]) -> list[float]:
    """The values of tensors of one number, all in one transfer."""
    return torch.stack(numbers).cpu().tolist()


def borrow(maps: Sequence[Map], wanted: Sequence[Sequence[Reading]], work: Workspace) -> list[tuple[Map, Box]]:
    """Add to these maps the parts that this process reads and others hold; `wanted` is what each process reads.

    Returns what was added.
    """
    mine = work.options.processes.rank
    lent: dict[Reading, list[Tensor]] = {}
    for rank, readings in enumerate(wanted):
        for which, window in readings:
            if rank == mine or maps[which].everywhere:
                continue
            for box, piece in maps[which].pieces.items():
                for part, _ in maps[which].overlaps(window, box):
                    lent[which, part] = [part.of(piece, (box.top, box.left))]
    borrowed = []
    for rank, parcels in enumerate(_exchanged(lent, work)):
        for (which, part), (tensor,) in parcels.items():
            if rank != mine and _is_read(maps[which], part, which, wanted[mine]):
                maps[which].pieces[part] = tensor.to(work.store)
                borrowed.append((maps[which], part))
    return borrowed


def _is_read(read: Map, part: Box, which: int, readings: Sequence[Reading]) -> bool:
    """What was sent to another process came here as well."""
    return any(number == which and any(read.overlaps(window, part)) for number, window in readings)


def share_moments(norm: SharedNorm, work: Workspace) -> None:
    """Let every process have the moments of all tiles, row by row as one process has them."""
    everyones = work.options.processes.exchange_by_key(norm.moments, work.device, at_once=True)
    known = {box: (mean, deviation) for parcels in everyones for box, (mean, deviation) in parcels.items()}
    norm.moments = {box: known[box] for box in sorted(known, key=attrgetter("top", "left"))}


def share_pieces(made: Map, work: Workspace) -> None:
    """Let every process have the whole map."""
    for parcels in _exchanged({box: [piece] for box, piece in made.pieces.items()}, work):
        made.pieces |= {box: piece.to(work.store) for box, (piece,) in parcels.items()}
    made.everywhere = True


def _exchanged(mine: dict[Key, list[Tensor]], work: Workspace) -> list[dict[Key, list[Tensor]]]:
    """What every process holds, process by process: all at once where it is kept on the device, else one by one."""
    return work.options.processes.exchange_by_key(mine, work.device, at_once=work.store == work.device)
