"""Layers for a moment in another precision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


def wider(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    """The one with more bits; the first if they have the same."""
    return b if torch.finfo(b).bits > torch.finfo(a).bits else a


@contextmanager
def in_precision(layers: Iterable[nn.Module], dtype: torch.dtype) -> Iterator[None]:
    """Run layers whose weights are of another dtype in `dtype`; afterwards every weight is the tensor it was."""
    parameters = [p for layer in layers for p in layer.parameters() if p.dtype.is_floating_point and p.dtype != dtype]
    originals = [parameter.data for parameter in parameters]
    try:
        for parameter, original in zip(parameters, originals, strict=True):
            parameter.data = original.to(dtype)
        yield
    finally:
        for parameter, original in zip(parameters, originals, strict=True):
            parameter.data = original
