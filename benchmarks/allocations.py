"""How many bytes of tensors live at once, per device, counted where PyTorch creates and frees them.

With fake tensors (shapes without data) this needs neither the device nor the time: a "cuda" computation of any size is
followed op by op on a computer that has none. Workspace inside a kernel is not seen.
"""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class AllocationMeter(TorchDispatchMode):
    """Counts the live bytes of tensors created while it is active; `peak` and `live` map a device type to bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.live: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the op, then count what it returned and nobody had yet."""
        result = func(*args, **(kwargs or {}))
        given = {id(leaf.untyped_storage()) for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)}
        for leaf in tree_flatten(result)[0]:
            if isinstance(leaf, Tensor) and id(leaf.untyped_storage()) not in given:
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage, device = tensor.untyped_storage(), tensor.device.type
        key = id(storage)
        if key in self._known and self._known[key]() is storage:
            return
        size = storage.nbytes()
        self.live[device] += size
        self.peak[device] = max(self.peak[device], self.live[device])

        def freed(_: Any) -> None:
            self.live[device] -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, freed)
