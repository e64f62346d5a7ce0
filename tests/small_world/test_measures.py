"""Every measure on cases whose answer is known."""

import numpy as np
import pytest
import torch

from benchmarks.measures import bootstrap, colour_drift, frechet, interval, object_count, prompt_score, seam, spread
from small_world.judge import load_judge
from small_world.renderer import render
from small_world.scene import Scene


def _drawn(scenes, size=(256, 256)):
    pictures = np.stack([render(scene, size).pixels for scene in scenes])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_picture_that_steps_alike_everywhere_has_no_seam(axis):
    ramp = torch.linspace(0, 1, 256).expand(3, 3, 256, 256)
    pictures = ramp if axis == "x" else ramp.transpose(2, 3)
    found = seam(pictures, [64, 128, 192], axis)
    assert found.mean == pytest.approx(1, abs=1e-3)
    assert found.worst == pytest.approx(1, abs=1e-3)


def test_a_seam_is_as_strong_as_its_step():
    pictures = torch.zeros(2, 3, 64, 256)
    pictures += 0.01 * (torch.arange(256) // 8)
    pictures[..., 128:] += 0.04
    found = seam(pictures, [64, 128])
    assert found.worst == pytest.approx(5, rel=1e-3)
    assert found.mean == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize("lines", [[], [60], [0], [256]])
def test_a_seam_is_only_sought_at_inner_multiples_of_8(lines):
    with pytest.raises(ValueError, match="multiples of 8"):
        seam(torch.rand(1, 3, 64, 256), lines)


def test_noise_has_no_seam():
    torch.manual_seed(0)
    assert seam(torch.rand(8, 3, 256, 1024), [256, 512, 768]).mean == pytest.approx(1, abs=0.05)


def test_two_zones_of_colour_drift_and_one_does_not():
    even = torch.full((1, 3, 256, 1024), 0.5)
    zones = even.clone()
    zones[..., 512:] += 0.2
    assert float(spread(even)) == 0
    # Seven windows of 128 pixels to one side, seven to the other, one across: nearly +-0.1 in each of three channels.
    assert float(spread(zones)) == pytest.approx(255 * 0.1 * 3**0.5, rel=0.06)
    assert float(colour_drift(zones, zones)) == 0


def test_one_wide_scene_does_not_drift_but_four_joined_scenes_do():
    wide = _drawn([Scene("meadow", "day", seed=seed) for seed in range(4)], (256, 1024))
    lights = [Scene("meadow", time) for time in ("day", "sunset", "fog", "night")]
    joined = torch.cat(list(_drawn(lights)), 2)[None]
    assert float(colour_drift(wide, wide).abs().max()) < 10
    assert float(colour_drift(joined, wide)) > 40


def test_frechet_of_known_gaussians():
    torch.manual_seed(0)
    standard = torch.randn(200_000, 3, dtype=torch.float64)
    moved = 2 * standard + torch.tensor([3.0, 0.0, 0.0])
    assert frechet(standard, standard) == pytest.approx(0, abs=1e-6)
    # |mean difference|^2 + trace(I + 4 I - 2 * 2 I) = 9 + 3
    assert frechet(standard, moved) == pytest.approx(12, rel=0.02)


def test_the_judge_finds_what_was_drawn():
    scenes = [Scene("harbour", "sunset", "lighthouse", seed=1), Scene("meadow", "day", "tree", seed=2)]
    scenes += [Scene("city", "night", "moon", seed=3), Scene("desert", "fog", seed=4)]
    score = prompt_score(load_judge(), _drawn(scenes), scenes)
    assert float(score.all.mean()) == 1
    assert torch.isnan(score.thing[3])
    wrong = [Scene("sea", "night", "boat")] * 4
    assert float(prompt_score(load_judge(), _drawn(scenes), wrong).all.mean()) < 0.4


def test_things_are_counted_on_any_canvas():
    one = _drawn([Scene("meadow", "day", "windmill", seed=seed) for seed in range(6)], (256, 1024))
    tall = _drawn([Scene("meadow", "day", "tree", seed=seed) for seed in range(6)], (1024, 256))
    none = _drawn([Scene("meadow", "day", seed=seed) for seed in range(6)], (256, 1024))
    assert float(object_count(load_judge(), one, "windmill").float().mean()) == pytest.approx(1, abs=0.2)
    assert float(object_count(load_judge(), torch.cat([one, one], 3), "windmill").float().mean()) == pytest.approx(
        2, abs=0.4
    )
    assert float(object_count(load_judge(), tall, "tree").float().mean()) == pytest.approx(1, abs=0.2)
    assert float(object_count(load_judge(), none, "windmill").float().mean()) < 0.2


def test_the_interval_is_that_of_the_mean():
    values = torch.tensor([1.0, 2.0, 3.0, float("nan")])
    assert interval(values) == (pytest.approx(2), pytest.approx(1.96 / 3**0.5))


def test_the_bootstrap_of_a_mean_is_its_standard_error():
    torch.manual_seed(0)
    values = torch.randn(400)
    assert bootstrap(lambda rows: float(values[rows].mean()), 400, 400) == pytest.approx(1.96 / 20, rel=0.15)
