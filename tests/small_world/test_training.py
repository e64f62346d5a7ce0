"""Training goes on where it was interrupted, and learns."""

import itertools
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from small_world import CHECKPOINT, progress, train_unet
from small_world.autoencoder import Autoencoder
from small_world.checkpoint import load
from small_world.dataset import scenes
from small_world.encode import encode_all
from small_world.progress import Training
from small_world.renderer import render
from small_world.scene import random_scene
from small_world.train_autoencoder import STD, as_input, decoder_loss_of, normalise
from small_world.train_judge import labels, spots


def _fit(stage, steps):
    torch.manual_seed(0)
    for _ in range(steps):
        x = torch.randn(32, 3)
        stage.update((stage.module(x) - x.sum(1, keepdim=True)).square().mean())


def test_a_stage_learns_and_goes_on_where_it_was_saved(tmp_path, monkeypatch):
    # The learning rate follows the time that has passed: let every step take as long on any machine.
    ticks = itertools.count()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.06 * next(ticks)))
    torch.manual_seed(0)
    first = Training("line", nn.Linear(3, 1), tmp_path, 1.0, rate=0.02)
    _fit(first, 200)
    first.save()
    again = Training("line", nn.Linear(3, 1), tmp_path, 1.0, rate=0.02)
    assert again.step == 200
    assert again.spent == first.spent
    torch.testing.assert_close(again.module.weight, first.module.weight)
    torch.testing.assert_close(again.averaged.weight, first.averaged.weight)
    _fit(again, 300)
    before, after = (float((stage.averaged.weight - 1).detach().norm()) for stage in (first, again))
    assert after < 0.5 * before


def test_a_stage_whose_time_is_spent_stops(tmp_path):
    stage = Training("line", nn.Linear(3, 1), tmp_path, 0.0, rate=0.02)
    assert not stage.running


def test_scenes_on_disk_are_those_of_their_seeds(tmp_path):
    path = scenes(tmp_path, 5, side=64, workers=1)
    pictures = np.load(path)
    assert pictures.shape == (5, 64, 64, 3)
    assert np.array_equal(pictures[3], render(random_scene(3), (64, 64)).pixels)
    assert scenes(tmp_path, 5, side=64) == path


def test_latents_are_normalised_to_what_hosts_of_stable_diffusion_expect(tmp_path):
    torch.manual_seed(0)
    path = scenes(tmp_path, 6, side=64, workers=1)
    model = Autoencoder().eval()
    normalise(model, torch.tensor(np.load(path)).permute(0, 3, 1, 2).float() / 127.5 - 1)
    latents = np.load(encode_all(tmp_path, model, path, 6, "cpu", workers=1)).astype(np.float32)
    assert latents.shape == (6, 4, 8, 8)
    np.testing.assert_allclose(latents.std((0, 2, 3)), 1, atol=0.05)
    assert abs(STD * 0.18215 - 1) < 1e-9


def test_a_step_down_a_decoders_error_lessens_it_and_asks_nothing_of_the_encoder():
    torch.manual_seed(0)
    model = load(CHECKPOINT).autoencoder.requires_grad_(True)
    x = as_input(np.stack([render(random_scene(seed), (64, 64)).pixels for seed in range(2)]), "cpu")

    def error():
        torch.manual_seed(0)
        return decoder_loss_of(model, x)

    before = error()
    before.backward()
    assert all(part.grad is None for module in (model.encoder, model.quant_conv) for part in module.parameters())
    trained = [part for module in (model.decoder, model.post_quant_conv) for part in module.parameters()]
    size = torch.stack([part.grad.square().sum() for part in trained]).sum()
    with torch.no_grad():
        for part in trained:
            part -= 1e-3 / size * part.grad
        assert 0.0005 < float(before - error()) < 0.0015


def test_half_of_a_decoders_latents_are_clean_and_half_are_noisy():
    torch.manual_seed(0)
    given = torch.zeros(400, 3, 8, 8)
    seen = []

    class Coder(Autoencoder):
        def decode(self, z):
            seen.append(z)
            return given

    model = Coder().eval()
    decoder_loss_of(model, given)
    noise = (seen[0] - model.moments(given)[0]).std((1, 2, 3)) / STD
    assert 0.4 < float((noise == 0).float().mean()) < 0.6
    assert 0.04 < float(noise.max()) < 0.1


def test_every_time_counts_and_the_noisy_ones_most():
    torch.manual_seed(0)
    z, weights = torch.zeros(2, 4, 64, 64), torch.ones(2, 1, 64, 64)

    def error(time):
        times = torch.full((2,), time)
        return float(train_unet.loss_of(lambda x, *_: torch.zeros_like(x), z, times, times, weights))

    assert abs(error(0) - train_unet.LEAST) < 0.05
    assert abs(error(999) - 1) < 0.1


def test_the_judges_goal_shows_each_thing_where_it_stands():
    chosen = [random_scene(seed) for seed in range(30)]
    goal, numbers = spots(chosen, 256), labels(chosen)
    for picture, scene, row in zip(goal, chosen, numbers, strict=True):
        peak = picture.flatten(1).amax(1)
        if scene.thing is None:
            assert float(picture.max()) == 0
        else:
            assert int(peak.argmax()) == int(row[2])
            assert float(peak.max()) > 0.58  # half a cell off on both axes


def test_the_command_makes_a_model_from_nothing_to_the_end(tmp_path):
    command = (sys.executable, "-m", "small_world", "train", "--out", str(tmp_path), "--device", "cpu")
    few = ("--minutes", "0.0001", "--pictures", "4", "--workers", "1")
    subprocess.run((*command, *few), check=True, capture_output=True, timeout=600)
    model = load(tmp_path / "small_world.safetensors")
    assert all(torch.isfinite(values).all() for values in model.painter.parameters())
    assert (tmp_path / "judge.safetensors").exists()


def test_the_command_teaches_the_shipped_model_close_ups(tmp_path):
    command = (sys.executable, "-m", "small_world", "close-ups", "--out", str(tmp_path), "--device", "cpu")
    few = ("--minutes", "0.0001", "--pictures", "4", "--workers", "1")
    subprocess.run((*command, *few), check=True, capture_output=True, timeout=600)
    weights = load_file(tmp_path / "close-ups.safetensors")
    ups = [value.abs().max() for name, value in weights.items() if "lora_up" in name]
    assert len(ups) == 117
    assert 0 < max(ups) < 0.2, "one step from the shipped weights"


def test_the_command_trains_the_shipped_models_decoder_and_nothing_else(tmp_path):
    command = (sys.executable, "-m", "small_world", "decoder", "--out", str(tmp_path), "--device", "cpu")
    few = ("--minutes", "0.0001", "--pictures", "4", "--workers", "1")
    subprocess.run((*command, *few), check=True, capture_output=True, timeout=600)
    before, after = load_file(CHECKPOINT), load_file(tmp_path / CHECKPOINT.name)
    assert before.keys() == after.keys()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    decoder = ("first_stage_model.decoder.", "first_stage_model.post_quant_conv.")
    assert changed
    assert all(name.startswith(decoder) for name in changed)
    assert max(float((before[name].float() - after[name].float()).abs().max()) for name in changed) < 0.01, "one step"
