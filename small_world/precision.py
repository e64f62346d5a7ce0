"""In which precision to train and paint: bfloat16 where the hardware computes with it, else single precision."""

import torch


def autocast(device: str) -> torch.autocast:
    """Return a context in which networks compute in bfloat16 where that is faster: on GPUs, and on CPUs with AVX-512.

    Other processors only imitate it: with AVX2 alone, a convolution took eight times as long in bfloat16 as in single
    precision. There the context changes nothing.
    """
    return torch.autocast(device, torch.bfloat16, enabled=device != "cpu" or _cpu_has_bfloat16())


def _cpu_has_bfloat16() -> bool:
    # torch.backends.cpu.get_cpu_capability() knows nothing of ARM's instructions.
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
