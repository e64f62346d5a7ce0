"""The measures of composition on pictures whose truth is known: drawn ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks import composition
from benchmarks.composition import (
    COMPOSE,
    PLAIN,
    VARIANTS,
    WITH_LORA,
    Figures,
    Row,
    first_stages,
    folder_of,
    named_scenes,
    rows,
    whole,
)
from benchmarks.horizons import has_one_horizon, horizons
from benchmarks.measures import detail, grain, mottle
from benchmarks.quality import scenes
from lib_instantas.hosts.diffusers_background import StagePrompts
from lib_instantas.hosts.staging import Stages, Watcher
from small_world import CHECKPOINT, CLOSE_UPS_LORA, RATIO_LORA
from small_world.judge import load_judge
from small_world.renderer import render
from small_world.scene import PLACES, TIMES, Scene, describe

EVERY = [
    Scene(place, time, seed=700 + number) for number, (place, time) in enumerate(zip(PLACES, 2 * TIMES, strict=True))
]


def drawn(scene: Scene, size: tuple[int, int]) -> torch.Tensor:
    return torch.from_numpy(np.array(render(scene, size).pixels)).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("size", [(512, 128), (128, 512)])
def test_a_drawn_scene_has_one_horizon(size: tuple[int, int]) -> None:
    right = sum(has_one_horizon(drawn(scene, size), scene) for scene in EVERY)
    assert right >= len(EVERY) - 1


@pytest.mark.parametrize("count", [2, 3])
def test_scenes_above_each_other_have_as_many_horizons(count: int) -> None:
    right = 0
    for scene in EVERY:
        parts = [drawn(Scene(scene.place, scene.time, seed=900 + number), (256, 128)) for number in range(count)]
        right += horizons(torch.cat(parts, 1), scene) == count
        assert not has_one_horizon(torch.cat(parts, 1), scene)
    assert right >= len(EVERY) - 2


def test_ground_above_sky_is_no_horizon() -> None:
    scene = EVERY[0]
    assert not has_one_horizon(drawn(scene, (512, 128)).flip(1), scene)


def test_grain_is_that_of_the_smooth_half() -> None:
    ramp = torch.linspace(0.2, 0.8, 64).expand(3, 128, 64)
    noise = 0.05 * torch.randn(3, 128, 64, generator=torch.Generator().manual_seed(0))
    patches = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    half_drawn = torch.cat([torch.full((3, 64, 64), 0.5), F.interpolate(patches, scale_factor=8)[0]], 1)
    values = grain(torch.stack([ramp, ramp + noise, ramp + 2 * noise, half_drawn]))
    assert values[0] < 0.5
    assert values[3] < 0.5, "edges of what is drawn are not grain"
    assert values[2] / values[1] == pytest.approx(2, rel=0.1)
    expected = 255 * 0.05 * (8 / 9) ** 0.5 * (2 / torch.pi) ** 0.5
    assert float(values[1]) == pytest.approx(float(expected), rel=0.15)


def test_mottle_is_the_noise_of_cells_and_nothing_else() -> None:
    ramp = torch.linspace(0.2, 0.8, 256).expand(3, 256, 256)
    cells = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    noise = 0.03 * F.interpolate(cells[None], scale_factor=8)[0]
    fine = 0.03 * torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(1))
    scene = drawn(EVERY[0], (256, 256))
    flat, noisy, twice, grainy, plain, on_it = mottle(
        torch.stack([ramp, ramp + noise, ramp + 2 * noise, ramp + fine, scene, scene + noise])
    )
    assert flat < 0.05
    assert float(noisy) == pytest.approx(255 * 0.03, rel=0.1)
    assert float(twice) == pytest.approx(2 * 255 * 0.03, rel=0.1)
    assert grainy < noisy / 6
    assert plain < 0.1 * on_it
    assert float(on_it) == pytest.approx(255 * 0.03, rel=0.2)


def test_two_stages_compute_less_than_tiles_from_noise(tmp_path: Path) -> None:
    """Half of 20 evaluations on four times the model's area, and 20 on its own: 3 / 4 of 20 on four times."""
    plain, composed = (
        Row(name, "256x1024", tmp_path, settings=VARIANTS[name]).computed for name in (PLAIN, "two stages")
    )
    assert composed / plain == pytest.approx(0.75, rel=0.05)


def test_the_scenes_with_a_thing_all_name_one() -> None:
    named = named_scenes(6)
    assert len(named) == 6
    assert all(scene.thing for scene in named)


def test_detail_is_that_of_the_other_half() -> None:
    patches = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    drawing = F.interpolate(patches, scale_factor=4)[0]
    flat = torch.full((3, 64, 64), 0.5)
    sharp, soft = torch.cat([flat, drawing], 1), torch.cat([flat, F.avg_pool2d(drawing, 5, 1, 2)], 1)
    values = detail(torch.stack([sharp, soft]))
    assert values[0] > 2 * values[1]
    assert torch.equal(detail(torch.cat([flat, flat], 1)[None]), torch.zeros(1))


def test_whole_prefers_scenes_to_scenes_above_each_other() -> None:
    chosen = EVERY * 2
    good = torch.stack([drawn(Scene(s.place, s.time, seed=s.seed + n), (512, 128)) for n, s in enumerate(chosen)])
    stacked = torch.stack(
        [
            torch.cat([drawn(Scene(s.place, s.time, seed=900 + n + part), (128, 128)) for part in range(4)], 1)
            for n, s in enumerate(chosen)
        ]
    )
    judge = load_judge()
    better, worse = (whole(judge, pictures, chosen)["whole"] for pictures in (good, stacked))
    assert better < 0.5 * worse


def test_what_is_more_than_plain_is_told_pair_by_pair() -> None:
    plain = Figures({"grain": torch.tensor([1.0, 5.0, 9.0])}, {"seam": 1.0})
    other = Figures({"grain": torch.tensor([2.0, 6.0, 10.0])}, {"seam": 1.1})
    line = other.line(plain)
    assert line["grain"] == 6
    assert line["grain_more"] == 1
    assert line["grain_more_ci"] == 0 < line["grain_ci"]
    assert line["seam"] == 1.1
    assert "grain_more" not in plain.line(None)


def test_other_weights_have_a_folder_and_a_lora_of_their_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    assert len({folder_of(tmp_path, one, other) for one in (first, second) for other in (first, second)}) == 4
    names = ["two stages", "two stages, LoRA", "two stages, both LoRAs"]
    asked = list(rows(names, ["512x512"], tmp_path, first, second, first))
    assert all(row.model == first for row in asked)
    assert [row.settings.get("compose_lora") for row in asked] == [None, None, str(second), str(second)]
    assert [row.settings.get("compose_tiles_lora") for row in asked] == [None, None, None, str(first)]


def test_first_stages_are_counted_by_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pictures lie there already: with the LoRA drawn scenes, without it two above each other in one of them."""
    folder = folder_of(tmp_path, CHECKPOINT, RATIO_LORA, CLOSE_UPS_LORA)
    for number, scene in enumerate(scenes(2, bare=True)):
        one, above = drawn(scene, (512, 128)), drawn(scene, (256, 128))
        stacked = one if number else torch.cat([above, above], 1)
        for name, picture in (("first stage, LoRA", one), ("first stage", stacked)):
            file = folder / name / "256x1024" / f"{describe(scene)} {number + 1}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).mul(255).round().byte().numpy()).save(file)
    asked = ["--stage-one", "--canvases", "256x1024", "--pictures", "2", "--keep", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["composition", *asked, "--json"])
    composition.main()
    told = json.loads(capsys.readouterr().out)["rows"]
    assert [(line["variant"], line["size"], line["one_horizon"], line["pictures"]) for line in told] == [
        ("first stage", "128x512", 1, 2),
        ("first stage, LoRA", "128x512", 2, 2),
    ]
    monkeypatch.setattr(sys, "argv", ["composition", *asked])
    composition.main()
    assert "first stage, LoRA, 128x512: one horizon in 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "settings"), [(0, COMPOSE), (1, WITH_LORA)])
def test_a_first_stage_is_what_the_second_begins_with(
    number: int, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "STEPS", 2)
    scene = EVERY[0]
    row = list(first_stages(["256x1024"], tmp_path, CHECKPOINT, RATIO_LORA))[number]
    job = Row("two stages", "256x1024", tmp_path, settings=settings).job(scene, 1)
    generator = composition._generator(CHECKPOINT)
    prompts = StagePrompts(generator.pipeline, job)
    random = torch.Generator().manual_seed(1)
    run = Stages(generator.pipeline, prompts, random, (), generator.features, generator.loras(job))
    handed_on = torch.from_numpy(np.array(run(generator.stages(job)[0], None, Watcher())))
    assert torch.equal(row.pictures([scene])[0], handed_on.permute(2, 0, 1).float() / 255)
