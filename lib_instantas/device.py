"""What differs from device to device: free memory, its end, and the kinds of numbers a device lacks.

CUDA (with ROCm, which calls itself so), XPU, MPS, DirectML ("privateuseone") and main memory ("cpu"). No other module
asks torch about a kind of device.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

logger = logging.getLogger(__name__)

NO_MEMORY_LEFT = (
    "out of memory",  # the allocators of CUDA, HIP, MPS and XPU, and the driver's own "CUDA error: out of memory"
    "_ALLOC_FAILED",  # cuBLAS, cuDNN, cuFFT, cuSOLVER, hipBLAS: the library found no room for its workspace
    "CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate",  # the first use of cuBLAS found no room for itself
    "DEVICE_ALLOCATION_FAILED",  # cuDNN 9
    "HOST_ALLOCATION_FAILED",
    "unable to find an engine to execute this computation",  # torch tried every cuDNN algorithm, none had room
    "NVML_SUCCESS == ",  # CUDA's allocator about to report that memory is full, on machines without NVML
    "hipErrorOutOfMemory",
    "miopenStatusAllocFailed",
    "Invalid buffer size",  # MPS: larger than one buffer may be
    "Failed to allocate private MTLBuffer",
    "CommandBufferCallbackErrorOutOfMemory",  # Metal, about work that was under way
    "Could not allocate tensor with",  # DirectML
    "Not enough memory resources are available",  # DirectML, in the words of Windows (0x8007000E)
    "out of device memory",  # XPU
    "OUT_OF_DEVICE_MEMORY",
    "OUT_OF_HOST_MEMORY",
    "ERROR_OUT_OF_RESOURCES",
    "Current platform can NOT allocate memory block",  # XPU: more than 4 GB at once on Arc A
    "Failed to allocate memory",  # NPU, beside the code 207001
    "Failed to apply for memory",
    "can't allocate memory",  # main memory
    "bad allocation",  # main memory, from the C++ library of Windows and that of Linux
    "bad_alloc",
    "DefaultCPUAllocator: not enough memory",  # main memory, Windows
)
"""What the messages of devices and libraries have in them when an allocation failed."""

WINDOWS_COMMITMENT_LIMIT = 1455
"""Windows' error number for a paging file that is too small."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception is a device's or the main memory's word for "no room left", so that less at once may help.

    Only errors of the run time count, not what a file, a setting or a prompt says in the same words. What torch itself
    calls an OutOfMemoryError is one, whatever it says: CUDA's asynchronous allocator says "Allocation on device" only.
    """
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM or getattr(error, "winerror", None) == WINDOWS_COMMITMENT_LIMIT
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY_LEFT)


def free_bytes(device: torch.device) -> int | None:
    """What a computation may still allocate on a device, the allocator's reserve counted in; None if nobody knows.

    DirectML never says, and neither do some drivers. Whoever gets None tries, and has a smaller way ready for the case
    that memory runs out.
    """
    try:
        return _FREE.get(device.type, _unknown)(device)
    except Exception as reason:  # a question about memory must not end a picture that is all but finished
        logger.debug("InstantAS: %s does not say how much memory is free: %s", device, reason)
        return None


def _unknown(device: torch.device) -> None:
    return None


def _free_on_cuda(device: torch.device) -> int:
    index = _index(torch.cuda, device)
    free, _ = torch.cuda.mem_get_info(index)
    return int(free + torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index))


def _free_on_xpu(device: torch.device) -> int:
    xpu: Any = torch.xpu
    index = _index(xpu, device)
    reserved, allocated = xpu.memory_reserved(index), xpu.memory_allocated(index)
    if hasattr(xpu, "mem_get_info"):  # from torch 2.6 on
        return int(xpu.mem_get_info(index)[0] + reserved - allocated)
    return int(xpu.get_device_properties(index).total_memory - allocated)


def _free_on_mps(device: torch.device) -> int | None:
    """Main memory, of which the device may take no more than Metal recommends."""
    mps: Any = torch.mps
    held, used = mps.driver_allocated_memory(), mps.current_allocated_memory()
    main = _free_main_memory(device)
    limits = [] if main is None else [main + held - used]
    if hasattr(mps, "recommended_max_memory"):  # from torch 2.3 on
        limits.append(mps.recommended_max_memory() - used)
    return int(min(limits)) if limits else None


def _free_main_memory(device: torch.device) -> int | None:
    try:
        import psutil
    except ImportError:
        return _free_pages()
    return int(psutil.virtual_memory().available)


def _free_pages() -> int | None:
    """Pages that the system could hand out, as Linux counts them; None elsewhere."""
    if not os.path.exists("/proc/meminfo"):
        return None
    with open("/proc/meminfo") as lines:
        figures = dict(line.split(":") for line in lines)
    return int(figures["MemAvailable"].split()[0]) * 1024


_FREE: dict[str, Callable[[torch.device], int | None]] = {
    "cuda": _free_on_cuda,
    "xpu": _free_on_xpu,
    "mps": _free_on_mps,
    "cpu": _free_main_memory,
}


def _index(module: Any, device: torch.device) -> int:
    """The host's device is often a bare "cuda", about which torch 2.1 refuses to answer."""
    return int(module.current_device() if device.index is None else device.index)


def empty_cache(device: torch.device) -> None:
    """Give back what the device's allocator keeps in reserve; where there is no such allocator, nothing."""
    if device.type in ("cuda", "mps", "xpu"):
        getattr(torch, device.type).empty_cache()


def shares_main_memory(device: torch.device) -> bool:
    """Whether moving a tensor to the main memory frees nothing, because the device computes there."""
    return device.type in ("cpu", "mps")


def training_precision(device: torch.device) -> str:
    """What accelerate is to train in on a device: "bf16" or "fp16" on CUDA, "bf16" on a CPU, else "no" (float32)."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "bf16" if device.type == "cpu" else "no"


COLLECTIVE_BACKENDS = {"cpu": "gloo", "cuda": "nccl", "xpu": "xccl"}
"""What torch.distributed exchanges tensors with, by kind of device; other kinds have nothing."""


def make_current(device: torch.device) -> None:
    """Let the device be the one that is meant where none is named; main memory always is."""
    if device.type in ("cuda", "xpu"):
        getattr(torch, device.type).set_device(device)


def no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which operations on the device keep the precision of what they are given."""
    try:
        return torch.autocast(device.type, enabled=False)
    except (
        AssertionError,
        AttributeError,
        RuntimeError,
    ):  # this torch knows no autocast for the device, so that none is on
        return nullcontext()
