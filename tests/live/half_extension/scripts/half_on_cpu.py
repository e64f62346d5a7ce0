"""Test-only extension: the host computes in half precision on a CPU, with the types that a card would have.

Where this torch has no half-precision operation for the CPU, it is done in single precision and its result rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from modules import devices, processing, sd_models
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map


def _cast(values: Any, given: torch.dtype, wanted: torch.dtype) -> Any:
    def cast(value: Any) -> Any:
        return value.to(wanted) if isinstance(value, torch.Tensor) and value.dtype == given else value

    return tree_map(cast, values)


def _has_half(values: Any) -> bool:
    return any(isinstance(value, torch.Tensor) and value.dtype == torch.float16 for value in tree_flatten(values)[0])


class HalfOnCPU(TorchDispatchMode):
    """Stands in for the operations that torch does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.lacking: set[Any] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = (args, kwargs or {})
        if operation not in self.lacking or not _has_half(given):
            try:
                return operation(*given[0], **given[1])
            except RuntimeError as error:
                if "not implemented for 'Half'" not in str(error):
                    raise
            self.lacking.add(operation)  # asking each time costs 10 ms
        wide = _cast(given, torch.float16, torch.float32)
        return _cast(operation(*wide[0], **wide[1]), torch.float32, torch.float16)


def in_half(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, in a thread in which the CPU can do what it lacks."""

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with HalfOnCPU():
            return function(*args, **kwargs)

    return called


processing.process_images_inner = in_half(processing.process_images_inner)
sd_models.get_empty_cond = in_half(sd_models.get_empty_cond)
devices.first_time_calculation = in_half(devices.first_time_calculation)
devices.cuda_no_autocast = lambda device_id=None: True  # the host's own casting, as on cards and Macs without autocast
