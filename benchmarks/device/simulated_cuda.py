"""A CUDA card that is not there: tensors "on" it have a shape, a type and a place, but no data.

Tensors in main memory stay real, so that plans, schedules and shapes are computed as ever. What a real card would wait
for is counted by the line of lib_instantas that asked for it: copies to and from the card, values read back, tensors of
both places mixed in one operation (an error on a real card), and float64, which not every device has. A value that is
read is made up: True, 1 or 1.0. Works on PyTorch from 2.1 on, with and without CUDA in the build.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from benchmarks.device.simulated_bindings import CARD, Bindings

OWN_CODE = "lib_instantas/"
CUDNN: Any = torch._C._ConvBackend.Cudnn  # type: ignore[attr-defined]
M = TypeVar("M", bound=nn.Module)

SAME_TYPE = ("convolution", "addmm", "mm", "bmm", "baddbmm", "native_layer_norm", "native_group_norm")
"""Operations that a card refuses to do with floating-point numbers of two types, which a tensor without data does."""


@dataclass
class Record:
    """What happened between a card and main memory, each counted by place: "file:line operation"."""

    copies: Counter[str] = field(default_factory=Counter)
    syncs: Counter[str] = field(default_factory=Counter)
    mismatches: Counter[str] = field(default_factory=Counter)
    doubles: Counter[str] = field(default_factory=Counter)
    copied_bytes: int = 0

    def clear(self) -> None:
        """Begin to count anew."""
        for counter in (self.copies, self.syncs, self.mismatches, self.doubles):
            counter.clear()
        self.copied_bytes = 0


def caller() -> str:
    """The innermost line of lib_instantas that is being run, else "elsewhere"."""
    frame = sys._getframe(1)
    while frame is not None:
        _, found, path = frame.f_code.co_filename.rpartition(OWN_CODE)
        if found:
            return f"{path}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


class SimulatedCuda(TorchDispatchMode):
    """While entered, "cuda" is a card that is not there. `memory` are the bytes it says are free.

    `record` says what happened so far; copies from the card and values read from it count as syncs, for which the
    program waits, copies to it as copies.
    """

    def __init__(self, memory: int = 8 * 2**30) -> None:
        super().__init__()
        self.record = Record()
        self.memory = memory
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._stack = ExitStack()

    def __enter__(self) -> SimulatedCuda:
        with ExitStack() as stack:
            for target, stand_in in _driver(self.memory).items():
                stack.enter_context(mock.patch(target, stand_in))
            if hasattr(fake_tensor, "init_cuda_context"):
                stack.enter_context(mock.patch.object(fake_tensor, "init_cuda_context"))
            stack.enter_context(torch.no_grad())
            stack.enter_context(Bindings())
            super().__enter__()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self._stack.__exit__(*exception)

    def empty(self, *shape: int, dtype: torch.dtype = torch.float16) -> Tensor:
        """A tensor on the card."""
        with self._fake:
            return torch.empty(shape, dtype=dtype, device=CARD)

    def put(self, module: M, dtype: torch.dtype = torch.float16) -> M:
        """The module with its weights and buffers on the card, floating-point numbers in a type."""
        for part in module.modules():
            for name, weight in part._parameters.items():
                if weight is not None:
                    part._parameters[name] = nn.Parameter(self._like(weight, dtype), requires_grad=False)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = self._like(buffer, dtype)
        return module.eval()

    def _like(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        return self.empty(*tensor.shape, dtype=dtype if tensor.is_floating_point() else tensor.dtype)

    def _arrived(self, tensor: Tensor) -> Tensor:
        """The copy on the card of a tensor in main memory, counted."""
        self.record.copies[f"{caller()} to the card"] += 1
        self.record.copied_bytes += tensor.numel() * tensor.element_size()
        return self._unnoticed(tensor)

    def _unnoticed(self, tensor: Tensor) -> Tensor:
        with self._fake:
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=CARD)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation: real in main memory, without data on the card."""
        kwargs = _with_index(dict(kwargs or {}))
        leaves, _ = tree_flatten((args, kwargs))
        if not any(_on_card(leaf) for leaf in leaves):
            return func(*args, **kwargs)
        name = func._schema.name.split("::")[1]
        answer = NOT_ON_THE_CARD_ALONE.get(name)
        result = NotImplemented if answer is None else answer(self, func, args, kwargs)
        return self._on_the_card(func, name, args, kwargs) if result is NotImplemented else result

    def _on_the_card(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
        if any(tensor.ndim for tensor in tensors if not isinstance(tensor, FakeTensor)):
            self.record.mismatches[f"{caller()} {name}: tensors of both places"] += 1
        name = name.rstrip("_")
        kinds = {str(tensor.dtype) for tensor in tensors if tensor.is_floating_point()}
        if name in SAME_TYPE and len(kinds) > 1:
            self.record.mismatches[f"{caller()} {name}: {', '.join(sorted(kinds))}"] += 1
        args, kwargs = tree_map(self._taken_along, (args, kwargs))
        with self._fake:
            result = func(*args, **kwargs)
        if any(isinstance(leaf, Tensor) and leaf.dtype == torch.float64 for leaf in tree_flatten(result)[0]):
            self.record.doubles[f"{caller()} {name}"] += 1
        return result

    def _taken_along(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        return self._unnoticed(value) if value.ndim else self._fake.from_tensor(value)

    def _sync(self, what: str) -> None:
        self.record.syncs[f"{caller()} {what}"] += 1

    def _read_back(self, tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        self._sync("from the card")
        self.record.copied_bytes += tensor.numel() * tensor.element_size()
        return torch.ones(tensor.shape, dtype=dtype or tensor.dtype)

    def _moved(self, func: Any, args: Any, kwargs: Any) -> Any:
        source, device = args[0], kwargs.get("device")
        if isinstance(source, FakeTensor):
            returns = device is not None and torch.device(device).type == "cpu"
            return self._read_back(source, kwargs.get("dtype")) if returns else NotImplemented
        if device is None:
            return NotImplemented
        copy = self._arrived(source)
        return copy if kwargs.get("dtype") in (None, copy.dtype) else copy.to(kwargs["dtype"])

    def _copied(self, func: Any, args: Any, kwargs: Any) -> Any:
        target, source = args[0], args[1]
        if isinstance(target, FakeTensor) == isinstance(source, FakeTensor):
            return NotImplemented
        if isinstance(target, FakeTensor):
            self._arrived(source)
            return target
        self._read_back(source)
        return target.fill_(1)

    def _value(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._sync("value")
        dtype = args[0].dtype
        return True if dtype == torch.bool else 1.0 if dtype.is_floating_point else 1

    def _answer(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._sync(func._schema.name.split("::")[1])
        return True

    def _found(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._sync("nonzero")
        return self.empty(args[0].numel(), args[0].ndim, dtype=torch.int64)

    def _picked(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Indices from main memory are copied to the card without a word; a mask is first counted there."""
        if not _on_card(args[0]):
            self.record.mismatches[f"{caller()} index on the card, tensor in main memory"] += 1
        indices = [one for index in args[1] for one in self._as_indices(index)]
        rest = tree_map(self._taken_along, (args[0], *args[2:]))
        with self._fake:
            return func(rest[0], indices, *rest[1:], **kwargs)

    def _as_indices(self, index: Tensor | None) -> list[Tensor | None]:
        if index is None:
            return [None]
        if index.dtype == torch.bool:
            self._sync("mask as index")
            return [self.empty(index.numel(), dtype=torch.int64)] * index.ndim
        return [index if isinstance(index, FakeTensor) else self._arrived(index)]


NOT_ON_THE_CARD_ALONE: dict[str, Callable[..., Any]] = {
    "_to_copy": SimulatedCuda._moved,
    "copy_": SimulatedCuda._copied,
    "_local_scalar_dense": SimulatedCuda._value,
    "equal": SimulatedCuda._answer,
    "is_nonzero": SimulatedCuda._answer,
    "nonzero": SimulatedCuda._found,
    "index": SimulatedCuda._picked,
    "index_put": SimulatedCuda._picked,
    "index_put_": SimulatedCuda._picked,
}
"""Operations that involve main memory, by name; NotImplemented where this one does not."""


def _on_card(leaf: Any) -> bool:
    if isinstance(leaf, torch.device):
        return leaf.type == "cuda"
    return isinstance(leaf, FakeTensor) and leaf.device.type == "cuda"


def _with_index(kwargs: dict[str, Any]) -> dict[str, Any]:
    device = kwargs.get("device")
    if device is not None and torch.device(device).type == "cuda":
        kwargs["device"] = CARD
    return kwargs


def _driver(memory: int) -> dict[str, Any]:
    """What PyTorch asks the driver, with answers; as in PyTorch 2.1, a device without an index gets none."""

    def of_index(answer: Any) -> Any:
        def ask(device: Any = 0) -> Any:
            if isinstance(device, torch.device) and device.index is None:
                raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{device}")
            return answer

        return ask

    return {
        "torch.cuda._lazy_init": lambda: None,
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.is_bf16_supported": lambda: True,
        "torch._C._select_conv_backend": lambda *_, **__: CUDNN,
        "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
        "torch.cuda.current_device": lambda: 0,
        "torch.cuda.empty_cache": lambda: None,
        "torch.cuda.mem_get_info": of_index((memory, memory)),
        "torch.cuda.memory_reserved": of_index(0),
        "torch.cuda.memory_allocated": of_index(0),
    }
