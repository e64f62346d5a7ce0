"""The weights in the repository: sizes, the judge's accuracy, a picture in a few steps, the installation."""

from pathlib import Path

import pytest
import torch
import yaml

from benchmarks.measures import prompt_score
from benchmarks.painting import Recipe, paint
from lib_instantas.settings import Settings
from small_world import CHECKPOINT, CLOSE_UPS_LORA, MODEL_FOLDER, RATIO_LORA
from small_world.checkpoint import load
from small_world.install import install
from small_world.judge import load_judge
from small_world.renderer import render
from small_world.scene import PLACES, THINGS, Scene, describe, random_scene


@pytest.fixture(scope="module")
def model():
    return load(CHECKPOINT)


def test_the_weights_are_small():
    assert sum(file.stat().st_size for file in MODEL_FOLDER.rglob("*")) <= 25e6
    assert (MODEL_FOLDER / "judge.safetensors").stat().st_size <= 3e6


def test_the_judge_is_right_about_fresh_scenes():
    scenes = [random_scene(2 * 10**6 + index) for index in range(100)]
    pictures = torch.stack([torch.tensor(render(scene).pixels) for scene in scenes]).permute(0, 3, 1, 2) / 255
    score = prompt_score(load_judge(), pictures, scenes)
    assert float(score.all.mean()) >= 0.97


def test_a_few_steps_already_show_place_and_time(model):
    scenes = [Scene("sea", "sunset"), Scene("snow", "night"), Scene("meadow", "day"), Scene("desert", "fog")]
    captions = ["the sea at sunset", "snow at night", "a meadow by day", "a desert in the fog"]
    score = prompt_score(load_judge(), paint(model, captions, Recipe((256, 256), steps=6), seed=1), scenes)
    assert float(score.time.mean()) >= 0.75
    assert float(score.place.mean()) >= 0.75


def test_things_are_those_of_the_prompt(model):
    scenes = [Scene(place, "day", thing) for place, thing in zip(PLACES, THINGS, strict=True) if thing != "lighthouse"]
    pictures = paint(model, [describe(scene) for scene in scenes], Recipe((256, 256), steps=12), seed=1, batch=7)
    score = prompt_score(load_judge(), pictures, scenes)
    assert float(score.thing.mean()) >= 0.7
    assert float(score.all.mean()) >= 0.85


def test_a_panorama_through_the_engine_has_the_size_asked_for(model):
    run = Recipe((256, 512), Settings(enabled=True), sampler="Euler a", steps=3)
    pictures = paint(model, ["a forest at sunset", "a city at night"], run, seed=1)
    assert pictures.shape == (2, 3, 256, 512)
    assert torch.isfinite(pictures).all()
    assert float(pictures[0].mean()) > float(pictures[1].mean())


def test_the_mean_of_the_text_features_is_far_from_zero(model):
    from small_world.train_unet import text_features

    assert float(text_features(model.painter.text, model.tokenizer, ["a harbour at sunset"]).mean()) > 0.2


def test_installing_names_the_tokenizer_folder_where_it_lies(tmp_path):
    (tmp_path / "models" / "Stable-diffusion").mkdir(parents=True)
    target = install(tmp_path)
    text = yaml.safe_load(target.with_suffix(".yaml").read_text())["model"]["params"]["cond_stage_config"]
    folder = text["params"]["version"]
    assert folder == str(tmp_path / "models" / "Stable-diffusion" / CHECKPOINT.stem)
    assert (target.parent / CHECKPOINT.stem / "vocab.json").exists()
    assert target.read_bytes() == CHECKPOINT.read_bytes()


def test_installing_into_something_else_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="models/Stable-diffusion"):
        install(tmp_path)


@pytest.mark.parametrize("lora", [RATIO_LORA, CLOSE_UPS_LORA])
def test_a_lora_fits_the_checkpoint_and_is_small(lora: Path) -> None:
    from lib_instantas.hosts.checkpoints import load_pipeline
    from lib_instantas.hosts.diffusers_lora import read_lora

    assert lora.stat().st_size <= 2_200_000
    assert len(read_lora(lora, load_pipeline(CHECKPOINT).unet, "compose_lora").layers) == 117
