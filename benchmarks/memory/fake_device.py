"""Networks on a GPU that is not there: shapes without data, so that memory can be counted for any size.

Only what PyTorch allocates for tensors is seen: no workspace of a convolution, no rounding by the allocator. Attention
is taken to need no score matrix, as on a GPU with a fused kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.memory.allocations import AllocationMeter
from lib_instantas.vae import Options, tiled

MIB = 2**20


@contextmanager
def fake_tensors() -> Iterator[None]:
    """Tensors without data; what would look at data answers as if all were well."""

    def fused_attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
        return torch.empty_like(query)

    def copy(target: Tensor, source: Tensor) -> Tensor:
        return torch.ops.aten.copy_.default(target, source)

    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(torch.no_grad())
        stack.enter_context(mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", fused_attention))
        stack.enter_context(mock.patch.object(Tensor, "copy_", copy))  # Tensor.copy_ wants a real device
        stack.enter_context(mock.patch("lib_instantas.vae.passes.read_back", lambda numbers: [0.0] * len(numbers)))
        yield


def put(module: Any, device: str, dtype: torch.dtype) -> Any:
    """A module without data, as if its weights lay on `device`; only inside `fake_tensors`."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                weight = torch.empty(parameter.shape, dtype=dtype, device=device)
                part._parameters[name] = torch.nn.Parameter(weight, requires_grad=False)
    return module.eval()


def without_data(build: Callable[[], Any]) -> Any:
    """The module that `build` makes, with shapes only."""
    with torch.device("meta"):
        return build()


def decoding_mib(
    build: Callable[[], Any], height: int, width: int, dtype: torch.dtype, options: Options | None
) -> tuple[float, float]:
    """Peak MiB above the model on (the device, in main memory) for decoding a picture; options None: untiled."""
    model = without_data(build)
    with fake_tensors():
        put(model, "cuda", dtype)
        latents = torch.empty(1, 4, height // 8, width // 8, dtype=dtype, device="cuda")
        with ExitStack() as stack:
            if options is not None:
                stack.enter_context(tiled(model, options))
            meter = stack.enter_context(AllocationMeter())
            model.decoder(latents)
        return meter.peak["cuda"] / MIB, meter.peak["cpu"] / MIB
