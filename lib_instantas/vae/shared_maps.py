"""Maps whose tiles are made by several processes: what each reads of the others' pieces, and what all must know.

Every process makes the tiles of one stretch of a map, row by row, so that it needs little of the others': the seam of
its stretch, and everything only where a layer looks everywhere. Messages travel on the device that computes; what is
kept elsewhere travels a piece at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from lib_instantas.sharing import Kind
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.maps import Box, Map, Moments, whole
from lib_instantas.vae.passes import Pass, run
from lib_instantas.vae.workspace import Workspace

Key = TypeVar("Key", bound=Hashable)
Reading = tuple[int, Box]
"""Which of the maps (its number), and the window that is read of it."""


def run_together(layers: Sequence[Layer], source: Tensor, work: Workspace) -> Map:
    """The map that the last layer makes of `source`, whole in every process."""
    made = run(layers, source, work, kind=SharedPass)
    share_pieces(made, work)
    return made


class SharedPass(Pass):
    """One layer over a map of which each process makes a stretch, with what lies beside it borrowed from the others."""

    def run(self) -> Map:
        """This process's tiles; all processes then know the moments of all tiles."""
        sharing = self.work.options.sharing
        tiles = self.tiles()
        stretches = sharing.stretches(tiles, lambda tile: tile.area)
        mine = stretches[sharing.rank]
        maps = [self.before, *([self.before.skip] if self.layer.join and self.before.skip else [])]
        borrowed = borrow(maps, [list(self._read_by(stretch)) for stretch in stretches], self.work)
        self.reserve(mine)
        if not self.layer.looks_everywhere:
            self._drop_unread(tiles)
        self.make(mine)
        for lent, box in borrowed:
            lent.pieces.pop(box, None)
        if self.measure:
            share_moments(self.after, self.work)
        others = [tile for stretch in stretches if stretch is not mine for tile in stretch]
        self.work.advance(sum(self.layer.multiplications(tile.size) for tile in others))
        return self.after

    def _read_by(self, tiles: list[Box]) -> Iterator[Reading]:
        """What these tiles read of the main map (0) and of the path around (1)."""
        size = self.before.size
        if tiles and self.layer.looks_everywhere:
            yield 0, whole(size)
        for tile in tiles:
            if not self.layer.looks_everywhere:
                yield 0, self.layer.window(tile, size, self.work.options.wrap)
            if self.layer.join:
                yield 1, tile

    def _drop_unread(self, tiles: list[Box]) -> None:
        """Free what only the others' tiles would have read here."""
        for read, _ in self.readings(tiles[:1]):
            for box in read.pieces.keys() - read.readers.keys():
                del read.pieces[box]


def borrow(maps: Sequence[Map], wanted: Sequence[Sequence[Reading]], work: Workspace) -> list[tuple[Map, Box]]:
    """Add to these maps the parts that this process reads and others hold; `wanted` is what each process reads.

    Returns what was added.
    """
    mine = work.options.sharing.rank
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


def share_moments(made: Map, work: Workspace) -> None:
    """Let every process have the moments of all pieces, row by row as one process has them."""
    mine = {box: [moments.mean, moments.deviation] for box, moments in made.moments.items()}
    all_of_them = {box: tensors for parcels in _exchanged(mine, work, work.device) for box, tensors in parcels.items()}
    made.moments = {box: Moments(box.area, *all_of_them[box]) for box in sorted(all_of_them, key=_row_by_row)}


def share_pieces(made: Map, work: Workspace) -> None:
    """Let every process have the whole map."""
    mine = {box: [piece] for box, piece in made.pieces.items()}
    for parcels in _exchanged(mine, work):
        made.pieces |= {box: piece.to(work.store) for box, (piece,) in parcels.items()}
    made.everywhere = True


def _row_by_row(box: Box) -> tuple[int, int]:
    return box.top, box.left


def _exchanged(
    mine: Mapping[Key, list[Tensor]], work: Workspace, store: torch.device | None = None
) -> list[dict[Key, list[Tensor]]]:
    """What every process has, process by process: all at once where it is kept on the device, else one by one."""
    sharing = work.options.sharing
    told = sharing.tell_all(
        ([(key, [Kind.of(tensor) for tensor in tensors]) for key, tensors in mine.items()],
         (store or work.store) == work.device)
    )  # fmt: skip
    sent, on_device = zip(*told, strict=True)
    most = max(map(len, sent))
    at_once = most if all(on_device) else 1
    received: list[dict[Key, list[Tensor]]] = [{} for _ in sent]
    for start in range(0, most, at_once or 1):
        parts = [parcels[start : start + at_once] for parcels in sent]
        flat = [tensor for key, _ in parts[sharing.rank] for tensor in mine[key]]
        kinds = [[kind for _, kinds in parcels for kind in kinds] for parcels in parts]
        for known, parcels, tensors in zip(received, parts, sharing.exchange(flat, kinds, work.device), strict=True):
            rest = iter(tensors)
            known.update({key: [next(rest) for _ in kinds] for key, kinds in parcels})
    return received
