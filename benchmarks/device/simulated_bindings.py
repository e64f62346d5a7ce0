"""Parts of PyTorch's Python layer that ask for the driver of a card even where its tensors have no data.

Each is done with the operation below it instead, which `simulated_cuda` follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

aten = torch.ops.aten
CARD = torch.device("cuda:0")


class Bindings(TorchFunctionMode):
    """While entered, calls about tensors without data go to the operations below."""

    def __init__(self) -> None:
        super().__init__()
        if hasattr(torch._C, "_ensureCUDADeviceGuardSet"):
            torch._C._ensureCUDADeviceGuardSet()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One call from Python."""
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        args, kwargs = tuple(map(_with_index, args)), {name: _with_index(arg) for name, arg in (kwargs or {}).items()}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == CARD:
            return func(*args, **{**kwargs, "device": None}).to(CARD)
        instead = INSTEAD.get(func)
        has_no_data = any(isinstance(leaf, FakeTensor) for leaf in tree_flatten((args, kwargs))[0])
        return func(*args, **kwargs) if instead is None or not has_no_data else instead(*args, **kwargs)


def _with_index(argument: Any) -> Any:
    """For a card without an index PyTorch would ask the driver which one is current."""
    is_card = argument == "cuda" if isinstance(argument, str) else argument == torch.device("cuda")
    return CARD if isinstance(argument, (str, torch.device)) and is_card else argument


def _taken(tensor: Tensor, index: Any) -> Tensor:
    view, picked = _viewed(tensor, index)
    return view if picked is None else aten.index.Tensor(view, picked)


def _assigned(tensor: Tensor, index: Any, value: Any) -> None:
    view, picked = _viewed(tensor, index)
    if picked is not None:
        value = (
            value if isinstance(value, Tensor) else aten.full.default([], value, dtype=view.dtype, device=view.device)
        )
        aten.index_put_.default(view, picked, value)
    elif isinstance(value, Tensor):
        aten.copy_.default(view, value)
    else:
        aten.fill_.Scalar(view, value)


def _viewed(tensor: Tensor, index: Any) -> tuple[Tensor, list[Tensor | None] | None]:
    """tensor[index] as far as views go, and the index tensors per dimension that are left, None if there are none."""
    dim, picked = 0, []
    for entry in _spelled_out(index, tensor.ndim):
        if entry is None:
            tensor = aten.unsqueeze.default(tensor, dim)
        elif isinstance(entry, slice):
            if entry != slice(None):
                start, stop, step = entry.indices(tensor.shape[dim])
                tensor = aten.slice.Tensor(tensor, dim, start, max(start, stop), step)
        elif isinstance(entry, int):
            tensor = aten.select.int(tensor, dim, entry)
            continue
        picked.append(torch.as_tensor(entry) if isinstance(entry, (Tensor, list, tuple)) else None)
        dim += picked[-1].ndim if picked[-1] is not None and picked[-1].dtype == torch.bool else 1
    return tensor, picked if any(entry is not None for entry in picked) else None


def _spelled_out(index: Any, ndim: int) -> list[Any]:
    """The entries of an index, its ellipsis written out."""
    entries = list(index) if isinstance(index, tuple) else [index]
    if not any(entry is Ellipsis for entry in entries):
        entries.append(Ellipsis)
    where = next(place for place, entry in enumerate(entries) if entry is Ellipsis)
    given = sum(_dimensions(entry) for entry in entries)
    return [*entries[:where], *[slice(None)] * (ndim - given), *entries[where + 1 :]]


def _dimensions(entry: Any) -> int:
    if entry is None or entry is Ellipsis:
        return 0
    return entry.ndim if isinstance(entry, Tensor) and entry.dtype == torch.bool else 1


def _contiguous(tensor: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
    if tensor.is_contiguous(memory_format=memory_format):
        return tensor
    return aten.clone.default(tensor, memory_format=memory_format)


def _attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any
) -> Tensor:
    """A fused kernel, which keeps no scores; as strict as a card about types."""
    if torch.is_autocast_enabled():
        to = torch.get_autocast_gpu_dtype()
        query, key, value = query.to(to), key.to(to), value.to(to)
        attn_mask = attn_mask if attn_mask is None or attn_mask.dtype == torch.bool else attn_mask.to(to)
    kinds = {query.dtype, key.dtype, value.dtype}
    if attn_mask is not None and attn_mask.dtype != torch.bool:
        kinds.add(attn_mask.dtype)
    if len(kinds) > 1:
        raise RuntimeError(f"Expected query, key, value and mask to have the same dtype, but got: {kinds}")
    if attn_mask is not None:
        # An operation that takes all of them, so that a mask in main memory is noticed.
        aten.add.Tensor(aten.select.int(query, 3, 0), aten.select.int(attn_mask, 3, 0))
    return aten.new_empty.default(query, [*query.shape[:-1], value.shape[-1]])


def _nonzero(tensor: Tensor, *, as_tuple: bool = False) -> Any:
    found = aten.nonzero.default(tensor)
    return aten.unbind.int(found, 1) if as_tuple else found


def _value(tensor: Tensor) -> Any:
    return aten._local_scalar_dense.default(tensor)


INSTEAD: dict[Any, Callable[..., Any]] = {
    Tensor.__getitem__: _taken,
    Tensor.__setitem__: _assigned,
    Tensor.__invert__: aten.bitwise_not.default,
    Tensor.__bool__: lambda tensor: bool(_value(tensor)),
    Tensor.__float__: lambda tensor: float(_value(tensor)),
    Tensor.__int__: lambda tensor: int(_value(tensor)),
    Tensor.__index__: lambda tensor: int(_value(tensor)),
    Tensor.item: _value,
    Tensor.tolist: lambda tensor: tensor.to("cpu").tolist(),
    Tensor.numpy: lambda tensor, **_: tensor.to("cpu").numpy(),
    Tensor.cpu: lambda tensor, *_, **__: tensor.to("cpu"),
    Tensor.nonzero: _nonzero,
    torch.nonzero: _nonzero,
    Tensor.contiguous: _contiguous,
    Tensor.copy_: lambda target, source, *_, **__: aten.copy_.default(target, source),
    Tensor.index_add_: aten.index_add_.default,
    F.scaled_dot_product_attention: _attention,
}
"""A call from Python -> the same by operations that need no driver."""
