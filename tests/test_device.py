"""What devices are asked, and what their errors mean. The messages are those that users of each device reported."""

import builtins
import errno
from types import SimpleNamespace

import pytest
import torch

from lib_instantas import device
from lib_instantas.device import (
    empty_cache,
    free_bytes,
    is_out_of_memory,
    no_autocast,
    shares_main_memory,
)
from lib_instantas.errors import SettingsError

GIB = 2**30

NO_MEMORY = {
    "CUDA": "CUDA out of memory. Tried to allocate 4.00 GiB. GPU 0 has a total capacty of 7.79 GiB of which 1.10 GiB "
    "is free. Including non-PyTorch memory, this process has 6.60 GiB memory in use.",
    "CUDA driver": "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API "
    "call, so the stacktrace below might be incorrect.",
    "cuBLAS": "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuBLAS, its first use": "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuFFT": "cuFFT error: CUFFT_ALLOC_FAILED",
    "cuDNN": "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN 9": "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cuDNN, memory of the host": "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "no engine": "GET was unable to find an engine to execute this computation",
    "no engine found": "FIND was unable to find an engine to execute this computation",
    "without NVML": 'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp":1154, please '
    "report a bug to PyTorch.",
    "ROCm": "HIP out of memory. Tried to allocate 18.00 GiB. GPU 0 has a total capacity of 15.98 GiB of which 1.40 GiB "
    "is free.",
    "ROCm driver": "HIP error: hipErrorOutOfMemory",
    "hipBLAS": "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
    "MIOpen": "miopenStatusAllocFailed",
    "MPS": "MPS backend out of memory (MPS allocated: 17.68 GB, other allocations: 3.95 MB, max allowed: 18.13 GB). "
    "Tried to allocate 1024.00 MB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit for "
    "memory allocations (may cause system failure).",
    "MPS buffer": "Invalid buffer size: 11.25 GB",
    "MPS private": "Failed to allocate private MTLBuffer for size 1073741824",
    "Metal": "[METAL] Command buffer execution failed: Insufficient Memory "
    "(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    "DirectML": "Could not allocate tensor with 234881024 bytes. There is not enough GPU video memory available!",
    "DirectML, Windows": "Not enough memory resources are available to complete this operation.",
    "XPU": "XPU out of memory. Tried to allocate 1.71 GiB (GPU 0; 15.56 GiB total capacity; 0 bytes already allocated; "
    "0 bytes reserved in total by PyTorch)",
    "XPU, large": "Current platform can NOT allocate memory block with size larger than 4GB! Tried to allocate "
    "6.85 GiB (GPU  0; 15.56 GiB total capacity; 0 bytes already allocated; 0 bytes reserved in total by PyTorch)",
    "XPU, extension": "Allocation is out of device memory on current platform.",
    "Level Zero": "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
    "Level Zero, host": "Native API failed. Native API returns: 38 (UR_RESULT_ERROR_OUT_OF_HOST_MEMORY)",
    "Level Zero, resources": "UR backend failed. UR backend returns:40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)",
    "SYCL": "Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES) -5 (PI_ERROR_OUT_OF_RESOURCES)",
    "NPU": "NPU out of memory. Tried to allocate 52.00 MiB (NPU 0; 60.96 GiB total capacity; 59.36 GiB already "
    "allocated; 59.36 GiB current active; 14.24 MiB free; 60.60 GiB reserved in total by PyTorch)",
    "NPU driver": "operator():build/CMakeFiles/torch_npu.dir/compiler_depend.ts:128 NPU function error: call "
    "aclnnMoeDistributeDispatchV2 failed, error code is 207001\n[ERROR] 2025-09-28-07:22:30 ERR00100 PTA call acl api "
    "failed\n[Error]: Failed to apply for memory.\nEL0004: Failed to allocate memory.",
    "main memory": "[enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
    "to allocate 132426121216 bytes. Error code 12 (Cannot allocate memory)",
    "main memory, Windows": "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you "
    "tried to allocate 5077901088 bytes.",
    "main memory, C++ on Windows": "bad allocation",
    "main memory, C++": "std::bad_alloc",
}

SOMETHING_ELSE = {
    "a fault of addresses": "CUDA error: an illegal memory access was encountered",
    "kernels missing": "CUDA error: no kernel image is available for execution on the device",
    "library of another version": "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "layout": "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-contiguous input.",
    "cuBLAS of another version": "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasSgemm( handle, opa, "
    "opb, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc)`",
    "cuFFT fails": "cuFFT error: CUFFT_INTERNAL_ERROR",
    "Metal, too long": "[METAL] Command buffer execution failed: Caused GPU Timeout Error "
    "(00000002:kIOGPUCommandBufferCallbackErrorTimeout)",
    "NPU fails": "NPU function error: c10_npu::acl::AclrtSynchronizeStreamWithTimeout(copy_stream), error code "
    "is 507001",
    "cuBLAS fails": "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`",
    "Triton": "Triton Error [CUDA]: out of resource: shared memory, Required: 114688, Hardware limit: 101376",
    "workers": "DataLoader worker (pid 42) is killed by signal: Bus error. It is possible that dataloader's workers "
    "are out of shared memory. Please try to raise your shared memory limit.",
    "device gone": "level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)",
    "devices mixed": "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
    "shapes": "Sizes of tensors must match except in dimension 1. Expected size 64 but got size 63 for tensor number 1",
    "size of a storage": "setStorage: sizes [4, 4], strides [4, 1], storage offset 0, and itemsize 4 requiring a "
    "storage size of 64 are out of bounds for storage of size 0",
    "types": "expected m1 and m2 to have the same dtype, but got: float != c10::Half",
    "precision": "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.",
}


@pytest.mark.parametrize("message", NO_MEMORY.values(), ids=NO_MEMORY)
def test_an_error_that_means_no_memory_is_recognised(message):
    assert is_out_of_memory(RuntimeError(message))


@pytest.mark.parametrize("message", SOMETHING_ELSE.values(), ids=SOMETHING_ELSE)
def test_any_other_error_is_not_taken_for_it(message):
    assert not is_out_of_memory(RuntimeError(message))


@pytest.mark.parametrize("kind", [ValueError, KeyError, SettingsError, AssertionError, FileNotFoundError])
def test_the_same_words_in_an_error_of_another_kind_say_nothing_about_memory(kind):
    assert not is_out_of_memory(kind("prompt: a robot out of memory"))


def test_errors_that_need_no_message():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("Allocation on device "))  # CUDA's asynchronous allocator
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))


def test_a_full_paging_file_of_windows_counts():
    error = OSError("The paging file is too small for this operation to complete")
    error.winerror = 1455
    assert is_out_of_memory(error)


def test_the_main_memory_of_this_machine_says_no_in_words_that_are_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**48)
    assert is_out_of_memory(caught.value)


class Card:
    """A card with 6 of 8 GiB free and 1 GiB in the allocator's reserve; as picky about devices as torch 2.1."""

    @staticmethod
    def current_device():
        return 1

    @staticmethod
    def _checked(which):
        if isinstance(which, torch.device) and which.index is None:
            raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{which}")

    def mem_get_info(self, which):
        self._checked(which)
        return 6 * GIB, 8 * GIB

    def memory_reserved(self, which):
        self._checked(which)
        return 2 * GIB

    def memory_allocated(self, which):
        self._checked(which)
        return 1 * GIB


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_card_has_free_what_its_driver_and_its_allocator_have(monkeypatch, name):
    monkeypatch.setattr(torch, "cuda", Card())
    assert free_bytes(torch.device(name)) == 7 * GIB


def test_a_driver_that_refuses_to_say_leaves_it_unknown(monkeypatch):
    card = Card()
    card.mem_get_info = lambda which: (_ for _ in ()).throw(RuntimeError("CUDA error: operation not supported"))
    monkeypatch.setattr(torch, "cuda", card)
    assert free_bytes(torch.device("cuda")) is None


@pytest.mark.parametrize("type_", ["privateuseone", "meta"])
def test_a_device_that_never_says_is_unknown(type_):
    assert free_bytes(torch.device(type_)) is None


def test_an_intel_card_is_asked_in_either_way(monkeypatch):
    card = Card()
    monkeypatch.setattr(torch, "xpu", card, raising=False)
    assert free_bytes(torch.device("xpu")) == 7 * GIB
    older = SimpleNamespace(
        current_device=lambda: 0,
        memory_reserved=lambda index: 2 * GIB,
        memory_allocated=lambda index: GIB,
        get_device_properties=lambda index: SimpleNamespace(total_memory=16 * GIB),
    )
    monkeypatch.setattr(torch, "xpu", older)
    assert free_bytes(torch.device("xpu")) == 15 * GIB


def test_a_mac_has_free_what_its_main_memory_has_up_to_what_metal_recommends(monkeypatch):
    mac = SimpleNamespace(driver_allocated_memory=lambda: 3 * GIB, current_allocated_memory=lambda: 2 * GIB)
    monkeypatch.setattr(torch, "mps", mac)
    monkeypatch.setattr(device, "_free_main_memory", lambda device: 4 * GIB)
    assert free_bytes(torch.device("mps")) == 5 * GIB
    mac.recommended_max_memory = lambda: 6 * GIB
    assert free_bytes(torch.device("mps")) == 4 * GIB


def test_main_memory_is_known_with_and_without_psutil(monkeypatch):
    free = free_bytes(torch.device("cpu"))
    imported = builtins.__import__

    def without_psutil(name, *args, **kwargs):
        if name == "psutil":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_psutil)
    assert free_bytes(torch.device("cpu")) == pytest.approx(free, rel=0.5)


def test_only_devices_that_have_an_allocator_are_told_to_empty_it(monkeypatch):
    emptied = []
    for name in ("cuda", "mps", "xpu"):
        stand_in = SimpleNamespace(empty_cache=lambda name=name: emptied.append(name))
        monkeypatch.setattr(torch, name, stand_in, raising=False)
    for name in ("cuda:0", "mps", "xpu", "privateuseone", "cpu"):
        empty_cache(torch.device(name))
    assert emptied == ["cuda", "mps", "xpu"]


@pytest.mark.parametrize("name", ["cpu", "cuda", "mps", "xpu", "privateuseone"])
def test_autocast_can_be_left_on_every_device_whether_or_not_this_torch_has_it(name):
    with no_autocast(torch.device(name)):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_inside_operations_keep_the_precision_they_are_given():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        with no_autocast(torch.device("cpu")):
            assert (x @ x).dtype == torch.float32


def test_memory_is_shared_with_the_main_memory_on_the_cpu_and_on_a_mac_only():
    shared = [name for name in ("cpu", "mps", "cuda", "xpu", "privateuseone") if shares_main_memory(torch.device(name))]
    assert shared == ["cpu", "mps"]
