"""`benchmarks.peers`: arithmetic on known times, and what it says where something is missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers


def test_ratios_are_taken_round_by_round() -> None:
    direct = [(10.0, 11.0), (20.0, 21.0), (40.0, 41.0)]
    figures = peers.figures_of([(8.0, 1.0), (16.0, 1.0), (32.0, 1.0)], direct)
    assert (figures["to_direct"], figures["low"], figures["high"]) == pytest.approx((0.8, 0.8, 0.8))
    assert (figures["seconds"], figures["wall"]) == (16, 1)


def test_the_interval_of_a_median_holds_it_and_grows_with_the_spread() -> None:
    narrow, wide = (peers.interval_of_median(np.array([1 - s, 1, 1 + s, 1, 1 - s])) for s in (0.01, 0.3))
    assert narrow[0] <= 1 <= narrow[1]
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_tiled_diffusion_overlaps_by_what_the_name_says() -> None:
    chosen = peers.ways(with_tiled_diffusion=True)
    assert list(chosen)[:2] == ["direct", "defaults"]
    shares = {name: way["Tiled Diffusion"]["args"][8] / 32 for name, way in chosen.items() if "Tiled" in name}
    assert shares == {"Tiled Diffusion, 50 %": 0.5, "Tiled Diffusion, 75 %": 0.75, "Tiled Diffusion, 87.5 %": 0.875}
    assert not any("Tiled" in name for name in peers.ways(with_tiled_diffusion=False))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell what a process computes")
def test_the_clock_of_a_process_counts_what_it_computes() -> None:
    clock = peers.clock_of(os.getpid())
    begun, spent = clock(), os.times()
    while os.times().user + os.times().system < spent.user + spent.system + 0.2:
        sum(range(10_000))
    assert 0.1 < clock() - begun < 5


def test_without_a_webui_it_says_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", "--webui", str(tmp_path), "--neighbours", str(tmp_path)])
    with pytest.raises(SystemExit, match=f"there is no WebUI in {tmp_path}"):
        peers.main()
