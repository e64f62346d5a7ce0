"""Training takes bfloat16 only where the hardware computes with it."""

import pytest
import torch

from small_world import precision

CAPABILITY = torch.backends.cpu.get_cpu_capability()


@pytest.mark.parametrize(("has_it", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_processor_computes_in_what_it_has(monkeypatch, has_it, dtype):
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: has_it)
    with precision.autocast("cpu"):
        assert torch.nn.Linear(4, 4)(torch.ones(2, 4)).dtype == dtype


@pytest.mark.skipif(CAPABILITY not in ("AVX2", "AVX512"), reason="PyTorch has no other word for this processor")
def test_this_processor_is_asked():
    with precision.autocast("cpu"):
        half = torch.nn.Linear(4, 4)(torch.ones(2, 4)).dtype == torch.bfloat16
    assert half == (CAPABILITY == "AVX512")
