"""The card that is not there counts what a real one would wait for, and says where it was asked."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from benchmarks.device.simulated_cuda import SimulatedCuda
from lib_instantas.device import free_bytes
from lib_instantas.fusion import reflect

ON_ITS_OWN = {
    "arithmetic": lambda x: (x * 2 + 1).sum(),
    "a number from main memory": lambda x: x + torch.tensor(2.0),
    "made there": lambda x: torch.arange(4, device=x.device) + torch.zeros(4, device="cuda"),
    "random numbers": lambda x: torch.randn_like(x),
    "a part": lambda x: x[..., 1:3, None],
    "one row": lambda x: x[-1],
    "a part set to a number": lambda x: x.__setitem__((0, slice(1, 3)), 7),
    "a part set to another": lambda x: x.__setitem__(0, x[1]),
    "rows picked by indices there": lambda x: x[torch.arange(2, device=x.device)],
    "a choice by a mask": lambda x: torch.where(x > 0, x, 0),
    "added at indices there": lambda x: x.index_add_(0, torch.arange(2, device=x.device), x[:2].clone()),
    "attention": lambda x: F.scaled_dot_product_attention(*[x[None, None]] * 3, attn_mask=x[None, None, :, :1]),
}

COPIES = {
    "to": lambda x: torch.ones(4, 4).to("cuda"),
    "to its device": lambda x: torch.ones(4, 4).to(x.device),
    "to another tensor's": lambda x: torch.ones(4, 4).to(x),
    "copied into": lambda x: x.copy_(torch.ones(4, 4)),
    "rows picked by a list": lambda x: x[[0, 2]],
    "rows picked by indices in main memory": lambda x: x[:, torch.tensor([0, 2])],
    "a list as tensor": lambda x: torch.tensor([1, 2], device="cuda"),
}

SYNCS = {
    "to": lambda x: x.to("cpu"),
    "cpu": lambda x: x.cpu(),
    "copied from": lambda x: torch.ones(4, 4).copy_(x),
    "item": lambda x: x[0, 0].item(),
    "float": lambda x: float(x.sum()),
    "if": lambda x: bool((x > 0).any()),
    "equal": lambda x: torch.equal(x, x),
    "a mask as index": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "numpy": lambda x: x.numpy(),
}

MISMATCHES = {
    "sum": lambda x: x + torch.ones(4, 4),
    "index": lambda x: torch.ones(4, 4)[torch.arange(2, device="cuda")],
    "mask of attention": lambda x: F.scaled_dot_product_attention(
        *[x[None, None]] * 3, attn_mask=torch.zeros(1, 1, 4, 4)
    ),
    "types in a product": lambda x: F.linear(x, x.half().clone(), x[0]),
}

ROWS = [
    *[(name, action, "") for name, action in ON_ITS_OWN.items()],
    *[(name, action, "copies") for name, action in COPIES.items()],
    *[(name, action, "syncs") for name, action in SYNCS.items()],
    *[(name, action, "mismatches") for name, action in MISMATCHES.items()],
]


@pytest.mark.parametrize(("action", "counted"), [row[1:] for row in ROWS], ids=[f"{row[2]} {row[0]}" for row in ROWS])
def test_each_way_to_and_from_the_card_is_counted_as_what_it_is(action, counted):
    with SimulatedCuda() as card:
        x = card.empty(4, 4, dtype=torch.float32)
        action(x)
    kinds = {kind: sum(getattr(card.record, kind).values()) for kind in ("copies", "syncs", "mismatches")}
    assert kinds == {**dict.fromkeys(kinds, 0), **({counted: 1} if counted else {})}


def test_it_says_which_line_of_the_library_asked():
    with SimulatedCuda() as card:
        reflect(card.empty(4, dtype=torch.int64), 8)
        assert not card.record.mismatches
        reflect(torch.arange(4), card.empty(1, dtype=torch.int64))
    assert any(place.startswith("fusion.py:") for place in card.record.mismatches)


def test_copies_are_weighed_and_forgotten_on_demand():
    with SimulatedCuda() as card:
        torch.ones(4, 4).to("cuda")
        assert card.record.copied_bytes == 64
        card.record.clear()
    assert card.record.copies == Counter()
    assert card.record.copied_bytes == 0


def test_double_precision_is_noted_on_the_card_only():
    with SimulatedCuda() as card:
        torch.ones(2).double()
        assert not card.record.doubles
        card.empty(2).double()
    assert card.record.doubles


def test_a_module_computes_there_in_half_precision_and_under_autocast():
    with SimulatedCuda() as card:
        layer = card.put(torch.nn.Conv2d(4, 8, 3, padding=1))
        assert layer(card.empty(1, 4, 8, 8)).dtype == torch.float16
        layer = card.put(torch.nn.Conv2d(4, 8, 3, padding=1), torch.float32)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            result = layer(card.empty(1, 4, 8, 8, dtype=torch.float32))
    assert (result.dtype, result.shape, result.device.type) == (torch.bfloat16, (1, 8, 8, 8), "cuda")
    assert not card.record.mismatches


def test_main_memory_stays_real_meanwhile():
    with SimulatedCuda():
        assert torch.arange(4).sum().item() == 6


def test_it_says_how_much_memory_is_free_but_not_for_a_card_without_an_index():
    with SimulatedCuda(memory=3 * 2**30) as card:
        assert free_bytes(torch.device("cuda")) == 3 * 2**30
        with pytest.raises(ValueError, match="specified index"):
            torch.cuda.mem_get_info(torch.device("cuda"))
    assert card.empty(1).device == torch.device("cuda:0")


def test_afterwards_the_card_is_gone():
    available = torch.cuda.is_available()
    with SimulatedCuda():
        pass
    assert torch.cuda.is_available() == available
    assert torch.ones(2)[1] == 1
