"""Compose first: both stages in the host's own terms, and metadata that bring the same picture back."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from metadata import done
from modules import extra_networks, sd_models
from modules.processing import process_images
from safetensors.torch import save_file

from lib_instantas.hosts.a1111.generation import end
from lib_instantas.hosts.a1111.live_line import line_for
from lib_instantas.hosts.a1111.settings_page import default_settings
from lib_instantas.settings import SettingsError

COMPOSE = {"enabled": True, "compose": True, "tile_batch": 1, "fit": "fitted", "edges": "elastic"}  # one call a tile
LATENT_NATIVE = 16


def test_the_whole_is_made_at_the_models_own_area_and_tiles_only_then(make: Any, model: Any) -> None:
    processed = process_images(make(COMPOSE, steps=4))
    whole, tiles = model.inputs[:4], model.inputs[4:]
    assert {shape[-2:] for shape in whole} == {(12, 24)}  # 96x192 pixels, about the area of 128x128
    assert len(tiles) == 2 * 8  # half of four steps, eight tiles each
    assert done(processed.infotexts[0]) == (
        "first pass: 1 tile of 192x96, 4 UNet evaluations; hires pass: 8 tiles of 128x128, 16 UNet evaluations"
    )
    assert processed.images[0].size == (512, 256)


def test_metadata_name_the_final_size_and_no_hires_pass(make: Any) -> None:
    assert "Size: 512x256" in process_images(make(COMPOSE)).infotexts[0]
    own = {**COMPOSE, "width": 509, "height": 253}
    processed = process_images(make(own))
    assert processed.images[0].size == (509, 253)
    assert (processed.width, processed.height) == (509, 253)
    assert "Size: 509x253" in processed.infotexts[0]
    assert "Hires" not in processed.infotexts[0]
    assert "Denoising" not in processed.infotexts[0]


def test_the_processing_object_gets_everything_back(make: Any) -> None:
    p, untouched = make(COMPOSE), make(COMPOSE)
    p.scripts.call("before_process", p)
    assert p.enable_hr
    end(p)
    names = set(vars(untouched)) - {"scripts", "script_args"}
    assert {name: vars(p)[name] for name in names} == {name: vars(untouched)[name] for name in names}


def test_beginning_twice_composes_once(make: Any) -> None:
    p = make(COMPOSE)
    for name in ("before_process", "process", "process"):
        p.scripts.call(name, p)
    assert (p.width, p.height, p.hr_resize_x, p.hr_resize_y) == (192, 96, 512, 256)


def test_a_model_that_is_loaded_after_the_size_was_given_has_its_own_area(make: Any, model: Any) -> None:
    p = make(COMPOSE)
    model.image_size = 32
    p.scripts.call("before_process", p)
    assert (p.width, p.height) == (352, 192)
    model.image_size = LATENT_NATIVE
    p.scripts.call("process", p)
    assert (p.width, p.height, p.hr_resize_x, p.hr_resize_y) == (192, 96, 512, 256)
    end(p)
    assert (p.width, p.height, p.enable_hr) == (512, 256, False)


def test_a_request_for_another_checkpoint_is_laid_out_for_that_one(
    make: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"double_blocks.0.img_mod.lin.weight": torch.zeros(1)}, tmp_path / "flux.safetensors")
    info = SimpleNamespace(filename=str(tmp_path / "flux.safetensors"))
    monkeypatch.setitem(sd_models.checkpoints_list, "flux", info)
    p = make(COMPOSE)
    p.override_settings = {"sd_model_checkpoint": "flux"}
    p.scripts.call("before_process", p)
    assert not p.enable_hr  # a picture of less than that model's own area
    p.scripts.call("process", p)
    assert p.enable_hr


def test_strength_and_guidance_are_the_second_stages(make: Any, model: Any) -> None:
    p = make({**COMPOSE, "compose_strength": 0.25, "compose_guidance": 2.0}, steps=8)
    scales: list[float] = []
    model.before_call = lambda count: scales.append(p.cfg_scale)
    process_images(p)
    assert scales == [7.0] * 8 + [2.0] * 2 * 8
    assert p.denoising_strength == 0.25
    assert p.cfg_scale == 7.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"enable_hr": True}, "compose has no effect with a hires pass of your own"),
        ({"width": 128, "height": 160}, "compose has no effect on a picture of about the model's own area"),
    ],
)
def test_where_there_is_nothing_to_compose_it_says_so(make: Any, fields: dict[str, Any], words: str) -> None:
    with_it = process_images(make(COMPOSE, **fields))
    without = process_images(make({**COMPOSE, "compose": False}, **fields))
    assert words in with_it.infotexts[0]
    assert torch.equal(with_it.latents[0], without.latents[0])


def test_an_unknown_upscaler_is_refused_with_those_that_are_known(make: Any, model: Any) -> None:
    with pytest.raises(SettingsError, match="compose_upscaler must be one of None, Lanczos, Latent, got 'ESRGAN'"):
        process_images(make({**COMPOSE, "compose_upscaler": "ESRGAN"}))
    assert model.inputs == []


@pytest.fixture
def loras(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The host's support for LoRAs knows one; what is answered are the LoRAs of each pass so far."""
    known = SimpleNamespace(available_networks={"tall": object()}, list_available_networks=lambda: None)
    monkeypatch.setitem(sys.modules, "networks", known)
    monkeypatch.setattr(extra_networks, "activated", [])
    return extra_networks.activated


def test_a_lora_is_there_in_the_first_stage_of_every_batch_and_only_there(make: Any, loras: list[list[str]]) -> None:
    process_images(make({**COMPOSE, "compose_lora": "tall"}, n_iter=2))
    assert loras == [["tall"], [], ["tall"], []]
    loras.clear()
    process_images(make(COMPOSE))
    process_images(make({**COMPOSE, "compose_lora": "tall"}, width=128, height=160))
    assert loras == [[], [], []], "none where none is asked for, or nothing is composed"


def test_the_tiles_have_a_lora_of_their_own(make: Any, loras: list[list[str]]) -> None:
    process_images(make({**COMPOSE, "compose_tiles_lora": "tall"}, n_iter=2))
    assert loras == [[], ["tall"], [], ["tall"]]
    loras.clear()
    process_images(make({**COMPOSE, "compose_lora": "tall", "compose_tiles_lora": "tall"}))
    process_images(make({**COMPOSE, "compose_tiles_lora": "tall"}, width=128, height=160))
    assert loras == [["tall"], ["tall"], []]


def test_a_lora_that_is_not_there_is_refused_by_name(make: Any, loras: list[list[str]], model: Any) -> None:
    for setting in ("compose_lora", "compose_tiles_lora"):
        with pytest.raises(SettingsError, match=f"{setting} must be empty or one of tall, got 'wide'"):
            process_images(make({**COMPOSE, setting: "wide"}))
    del sys.modules["networks"]
    with pytest.raises(SettingsError, match="compose_lora must be empty or one of no LoRA here, got 'tall'"):
        process_images(make({**COMPOSE, "compose_lora": "tall"}))
    assert model.inputs == []


@pytest.mark.parametrize("method", ["ScaleCrafter", "direct"])
def test_methods_without_tiles_have_nothing_to_compose_for(make: Any, method: str) -> None:
    with pytest.raises(SettingsError, match=f"compose must be False with the method {method}, got True"):
        process_images(make({**COMPOSE, "method": method}))


def test_the_live_line_names_both_stages() -> None:
    values = list((default_settings().dict() | {"enabled": True, "compose": True}).values())
    line = line_for(values, {"width": 2048, "height": 512, "steps": 20})
    assert line.startswith(
        "composed first: 1024x256, 20 UNet evaluations; then 4 tiles of 512x512, 40 UNet evaluations"
    )
    share = int(re.search(r"; together about (\d+)% of the work of tiles from the first step on", line)[1])
    assert share == pytest.approx(50 + 25, abs=2), "half of the steps in tiles, and a picture of a quarter"
