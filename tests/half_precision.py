"""fp16 on a processor, also where its torch (before 2.2) has no convolution and no layer norm in fp16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

MISSING = "not implemented for 'Half'"


def half_precision() -> AbstractContextManager[Any]:
    """Inside, everything can be computed in fp16."""
    return nullcontext() if convolves_in_half_precision() else Rounded()


def convolves_in_half_precision() -> bool:
    """Whether this torch has a convolution in fp16 for processors."""
    ones = torch.ones(1, 1, 3, 3, dtype=torch.float16)
    try:
        torch.nn.functional.conv2d(ones, ones)
    except RuntimeError as reason:
        if MISSING not in str(reason):
            raise
        return False
    return True


class Rounded(TorchDispatchMode):
    """What torch lacks in fp16 is computed in fp32 and rounded, which is what a card's multiply-adds do."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return func(*args, **(kwargs or {}))
        except RuntimeError as reason:
            if MISSING not in str(reason):
                raise
        wide_args, wide_kwargs = tree_map(lambda value: _in(value, torch.float16, torch.float32), (args, kwargs or {}))
        return tree_map(lambda value: _in(value, torch.float32, torch.float16), func(*wide_args, **wide_kwargs))


def _in(value: Any, old: torch.dtype, new: torch.dtype) -> Any:
    return value.to(new) if isinstance(value, Tensor) and value.dtype == old else value
