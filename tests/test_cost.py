"""The fit behind the cost model; time and memory of the methods in the papers' tables."""

from pathlib import Path

import pytest
from tiny_pipelines import sd_pipeline
from tiny_unets import diffusers_unet

from benchmarks.cost import SIDES, fit
from benchmarks.tables import cost
from benchmarks.tables.cost import cost_of, peak_of, seconds_per_evaluation
from benchmarks.tables.pictures import Easel
from benchmarks.tables.variants import DIRECT, INSTANTAS, MULTIDIFFUSION


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_the_fit_finds_the_share_that_made_the_times(share: float) -> None:
    areas = {side: (side / 64) ** 2 for side in SIDES}
    times = {side: 3.3 * ((1 - share) * area + share * area**2) for side, area in areas.items()}
    found = fit(times)
    assert found["quadratic"] == pytest.approx(share, abs=1e-9)
    assert found["worst"] < 1e-9


@pytest.mark.slow
def test_work_is_counted_and_falls_with_the_tiles() -> None:
    """512x1024 pixels: two tiles, nine at an overlap of seven eighths; attention makes direct dearer than two tiles."""
    ours, theirs, direct = (cost_of(variant, (512, 1024)) for variant in (INSTANTAS, MULTIDIFFUSION, DIRECT))
    assert (ours.tiles, theirs.tiles, direct.tiles) == (2, 9, 1)
    assert theirs.teraflops > 4 * ours.teraflops
    assert direct.teraflops > ours.teraflops


def test_the_time_of_an_evaluation_is_the_mean_of_those_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that the UNet's calls move on: the first by much, as on a card that is still getting ready."""
    unet, ticks = diffusers_unet(), [0]

    def tick(*_: object) -> None:
        ticks[0] += 1 if ticks[0] else 1000

    unet.register_forward_hook(tick)
    monkeypatch.setattr(cost, "_clock", lambda device: ticks[0])
    assert seconds_per_evaluation(unet, INSTANTAS, (512, 1024), 2) == 2, "two tiles, one by one"


def test_memory_is_measured_even_if_the_picture_was_kept(tmp_path: Path) -> None:
    sd_pipeline(tmp_path).save_pretrained(tmp_path / "model")
    easel = Easel(tmp_path / "model", folder=tmp_path / "kept")
    small, large = (peak_of(easel, DIRECT, (64, width)) for width in (128, 512))
    assert large > 2 * small > 0
    assert peak_of(easel, DIRECT, (64, 512)) == pytest.approx(large, rel=0.1)
