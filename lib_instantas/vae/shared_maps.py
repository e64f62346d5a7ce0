"""Maps whose pieces are made by several processes: what each reads of the others' pieces, and what all must know.

Every process makes the tiles of one stretch of a map, row by row, so that it needs little of the others': the seam of
its stretch, and everything only where a layer looks everywhere. Messages travel on the device that computes; what is
kept elsewhere travels a piece at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from lib_instantas.sharing import Kind, Sharing
from lib_instantas.vae.maps import Box, Map
from lib_instantas.vae.norm import Moments
from lib_instantas.vae.options import Workspace

Key = TypeVar("Key", bound=Hashable)
Reading = tuple[int, Box]
"""Which of the maps (its number), and the window that is read of it."""


def borrow(maps: Sequence[Map], wanted: Sequence[Sequence[Reading]], work: Workspace) -> None:
    """Add to these maps the parts that this process reads and others hold; `wanted` is what each process reads."""
    mine = work.options.sharing.rank
    lent: dict[Reading, list[Tensor]] = {}
    for rank, readings in enumerate(wanted):
        for which, window in readings:
            if rank == mine or maps[which].everywhere:
                continue
            for box, piece in maps[which].pieces.items():
                for part in maps[which].inside(window, box):
                    lent[which, part] = [part.of(piece, (box.top, box.left))]
    for rank, parcels in enumerate(_exchanged(lent, work)):
        for (which, part), (tensor,) in parcels.items():
            if rank != mine and _is_read(maps[which], part, which, wanted[mine]):
                maps[which].pieces[part] = tensor.to(work.store)
                maps[which].borrowed.add(part)


def _is_read(read: Map, part: Box, which: int, readings: Sequence[Reading]) -> bool:
    """What was sent to another process came here as well."""
    return any(number == which and read.inside(window, part) for number, window in readings)


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
    sharing: Sharing = work.options.sharing
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
