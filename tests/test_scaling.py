"""`benchmarks.scaling`: predictions from known times."""

from __future__ import annotations

import pytest
import torch

from benchmarks import scaling


def linear(tile: tuple[int, int], count: int) -> float:
    return count * tile[0] * tile[1] / 64**2


@pytest.mark.parametrize("size", scaling.CANVASES)
def test_messages_that_cost_nothing_leave_what_the_fullest_device_computes(size: str) -> None:
    found = scaling.predicted(size, 8, linear, torch.zeros(2, 4, 8, 8), 1e30, 0)
    assert found["speedup"] == pytest.approx(8 * found["busy"])
    assert found["busy"] > 0.9
    slow = scaling.predicted(size, 8, linear, torch.zeros(2, 4, 8, 8), 1e30, 1e9)
    assert slow["speedup"] < 0.001


def test_a_message_holds_the_tiles_of_one_device() -> None:
    """2048x512 is four tiles: two for each of two devices, of 64x64 or wider."""
    x = torch.zeros(2, 4, 8, 8, dtype=torch.float16)
    found = scaling.predicted("2048x512", 2, linear, x, 1e30, 0)
    assert 1 <= found["megabytes"] * 1e6 / (2 * 2 * 4 * 64 * 64 * 2) < 1.4


def test_decoding_together_sends_less_than_the_maps_themselves() -> None:
    sent = scaling.decoding_bytes((512, 512), 8)
    largest_map = 256 * 4096 * 4096 * 2
    assert 0 < sent < largest_map / 8
