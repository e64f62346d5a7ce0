"""The tiles of one computation divided among processes, each of which then has all of them.

Every process runs the whole program with the same seed and knows of itself which tiles are whose; only what became of
the tiles is exchanged. A process has a device of its own, and is started by `torchrun`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

import torch
from torch import Tensor

from lib_instantas.device import COLLECTIVE_BACKENDS, make_current
from lib_instantas.errors import SettingsError

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)

ALIGNMENT = 16


@dataclass(frozen=True)
class Kind:
    """Of a tensor that is sent: as bytes, since not every way of sending knows every kind of number."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Kind:
        """That of a tensor."""
        return cls(tuple(tensor.shape), tensor.dtype)

    @property
    def bytes(self) -> int:
        """How many it is."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def room(self) -> int:
        """How many are kept for it, so that the next begins where any kind of number may."""
        return math.ceil(self.bytes / ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Processes:
    """One of `size` processes that divide the work; alone, it does all of it and asks nobody."""

    rank: int = 0
    size: int = 1

    @property
    def alone(self) -> bool:
        """Whether there is nobody to divide it with."""
        return self.size == 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def divided(self, items: Sequence[Item], cost: Callable[[Item], float]) -> list[list[Item]]:
        """Whose items are whose, process by process, each in the given order.

        The dearest go first, each to the process that has least to do. All processes come to the same answer.
        """
        load = [0.0] * self.size
        owners = [0] * len(items)
        for index in sorted(range(len(items)), key=lambda index: -cost(items[index])):
            owners[index] = min(range(self.size), key=lambda rank: load[rank])
            load[owners[index]] += cost(items[index])
        return [[item for item, owner in zip(items, owners, strict=True) if owner == rank] for rank in range(self.size)]

    def stretches(self, items: Sequence[Item], cost: Callable[[Item], float]) -> list[list[Item]]:
        """The same in stretches of the given order, where it counts what lies side by side."""
        total = sum(map(cost, items))
        parts: list[list[Item]] = [[] for _ in range(self.size)]
        done = 0.0
        for item in items:
            parts[min(self.size - 1, int(self.size * (done + cost(item) / 2) / total))].append(item)
            done += cost(item)
        return parts

    def exchange(
        self, mine: Sequence[Tensor], kinds: Sequence[Sequence[Kind]], device: torch.device
    ) -> list[list[Tensor]]:
        """What every process has made, process by process, on the device: one message from each to all.

        `kinds` says what every process sends; `mine` are this one's tensors.
        """
        import torch.distributed as distributed

        length = max(sum(kind.room for kind in of_one) for of_one in kinds)
        message = torch.zeros(length, dtype=torch.uint8, device=device)
        for tensor, (start, stop) in zip(mine, _places(kinds[self.rank]), strict=True):
            message[start:stop] = tensor.to(device).contiguous().view(-1).view(torch.uint8)
        answers = [torch.empty_like(message) for _ in range(self.size)]
        distributed.all_gather(answers, message)
        return [
            [answer[a:b].view(kind.dtype).view(kind.shape) for kind, (a, b) in zip(sent, _places(sent), strict=True)]
            for answer, sent in zip(answers, kinds, strict=True)
        ]

    def exchange_by_key(
        self, mine: Mapping[Key, Sequence[Tensor]], device: torch.device, at_once: bool
    ) -> list[dict[Key, list[Tensor]]]:
        """The same of tensors under keys that nobody else knows beforehand.

        All travel at once if every process asks for that, else key by key, so that the device needs little room.
        """
        kinds_by_key = [(key, [Kind.of(tensor) for tensor in tensors]) for key, tensors in mine.items()]
        sent, agreed = zip(*self.tell_all((kinds_by_key, at_once)), strict=True)
        most = max(map(len, sent))
        step = max(most, 1) if all(agreed) else 1
        received: list[dict[Key, list[Tensor]]] = [{} for _ in sent]
        for start in range(0, most, step):
            parts = [parcels[start : start + step] for parcels in sent]
            flat = [tensor for key, _ in parts[self.rank] for tensor in mine[key]]
            kinds = [[kind for _, kinds in parcels for kind in kinds] for parcels in parts]
            for known, parcels, tensors in zip(received, parts, self.exchange(flat, kinds, device), strict=True):
                rest = iter(tensors)
                known.update({key: [next(rest) for _ in kinds] for key, kinds in parcels})
        return received

    def tell_all(self, word: Any) -> list[Any]:
        """What every process says, process by process; for few and small things."""
        import torch.distributed as distributed

        words: list[Any] = [None] * self.size
        distributed.all_gather_object(words, word)
        return words


ALONE = Processes()


def _places(kinds: Sequence[Kind]) -> list[tuple[int, int]]:
    """From which byte to which each tensor lies in a message."""
    starts = accumulate((kind.room for kind in kinds), initial=0)
    return [(start, start + kind.bytes) for kind, start in zip(kinds, starts, strict=False)]


@contextmanager
def started_by_torchrun(device: str) -> Iterator[tuple[Processes, str]]:
    """The processes that `torchrun` has started, and the device of this one; alone where it has not.

    `device` is the kind that the user names: "cuda" becomes this process's own card.
    Raises SettingsError for kinds of devices between which nothing can be exchanged.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield ALONE, device
        return
    import torch.distributed as distributed

    own = torch.device(device)
    if own.type != "cpu" and own.index is None:
        own = torch.device(own.type, int(os.environ["LOCAL_RANK"]))
    if own.type not in COLLECTIVE_BACKENDS:
        kinds = ", ".join(COLLECTIVE_BACKENDS)
        raise SettingsError(f"device must be one of {kinds} with several processes, got {device!r}")
    make_current(own)
    distributed.init_process_group(COLLECTIVE_BACKENDS[own.type])
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size()), str(own)
    finally:
        distributed.destroy_process_group()
