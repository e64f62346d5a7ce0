"""How many bytes of tensors live at once, per device, counted where PyTorch creates them.

With fake tensors (shapes without data) this needs neither the device nor the time: a "cuda" computation of any size is
followed op by op on a computer that has none. Workspace inside a kernel is not seen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


@dataclass(frozen=True)
class _Memory:
    storage: StorageWeakRef
    device: str
    size: int


class AllocationMeter(TorchDispatchMode):
    """Counts the live bytes of tensors created while it is active; `peak` maps a device type to bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.peak: Counter[str] = Counter()
        self._known: dict[int, _Memory] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the op, then count what it returned and nobody had yet."""
        result = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage()._cdata for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)}
        for leaf in tree_flatten(result)[0]:
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in given:
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        """Nothing is freed unseen: the most lives at once just after something was created.

        Python's own weak references to a storage, with a call when it goes, end the process in torch 2.1.
        """
        storage, device = tensor.untyped_storage(), tensor.device.type
        self._known = {key: memory for key, memory in self._known.items() if not memory.storage.expired()}
        if storage._cdata not in self._known:
            self._known[storage._cdata] = _Memory(StorageWeakRef(storage), device, storage.nbytes())
        live = sum(memory.size for memory in self._known.values() if memory.device == device)
        self.peak[device] = max(self.peak[device], live)
