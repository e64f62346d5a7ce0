"""Ratio LoRAs in the real host: its own support for LoRAs reads every kind of layer, and compose takes one along."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from client import Client, RefusedError, difference, same
from diffusers import UNet2DConditionModel
from infotexts import done
from safetensors.torch import load_file, save_file
from webui import WebUI

from lib_instantas.lora_names import name_of
from lib_instantas.training.trainer import add_adapter

KINDS: dict[str, Callable[[str], bool]] = {
    "attention": lambda path: ".attn" in path,
    "feed": lambda path: ".ff." in path,
    "projection": lambda path: path.endswith(("proj_in", "proj_out")),
    "convolution": lambda path: path.endswith(("conv1", "conv2")),
    "shortcut": lambda path: path.endswith("conv_shortcut"),
    "down": lambda path: "downsamplers" in path,
    "up": lambda path: "upsamplers" in path,
}
CHECKPOINTS = ("sd1-deep", "sd1")
COMPOSE = {"enabled": True, "compose": True}
LARGE = {"width": 512, "height": 256, "steps": 4}
NATIVE = {"width": 128, "height": 128, "steps": 2}


@pytest.fixture(scope="module")
def loras(webui: WebUI, models: Path) -> list[str]:
    """A LoRA for each kind of layer of each checkpoint, where the host looks for them; their names."""
    folder = webui.data / "models" / "Lora"
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for checkpoint in CHECKPOINTS:
        unet = _unet(models / f"{checkpoint}.safetensors")
        for kind, belongs in KINDS.items():
            names.append(f"{checkpoint}-{kind}")
            save_file(_random_lora(unet, belongs), folder / f"{names[-1]}.safetensors")
    webui.client.post("/sdapi/v1/refresh-loras")
    return names


def _unet(checkpoint: Path) -> UNet2DConditionModel:
    """The checkpoint's UNet with the layers that `train-ratios` teaches."""
    config = json.loads(checkpoint.with_suffix(".yaml").read_text("utf-8"))
    weights = load_file(checkpoint)
    unet: UNet2DConditionModel = UNet2DConditionModel.from_single_file(weights, original_config=config)
    return unet


def _random_lora(unet: UNet2DConditionModel, belongs: Callable[[str], bool]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    paths = [name for name, module in unet.named_modules() if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))]
    weights = {}
    for path in filter(belongs, paths):
        weight, name = unet.get_submodule(path).weight, name_of(path, unet.config)
        ends = (1, 1) if weight.ndim == 4 else ()
        weights[f"{name}.lora_down.weight"] = torch.randn(2, *weight.shape[1:]).half()
        weights[f"{name}.lora_up.weight"] = (0.1 * torch.randn(weight.shape[0], 2, *ends)).half()
        weights[f"{name}.alpha"] = torch.tensor(2.0).half()
    return weights


def test_the_kinds_are_all_that_is_taught(models: Path) -> None:
    unet = _unet(models / "sd1.safetensors")
    assert all(any(belongs(path) for belongs in KINDS.values()) for path in add_adapter(unet, 2))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_the_host_reads_every_kind_of_layer(client: Client, loras: list[str], checkpoint: str, kind: str) -> None:
    assert f"{checkpoint}-{kind}" in loras
    model = {"override_settings": {"sd_model_checkpoint": f"{checkpoint}.safetensors"}}
    plain, with_it = (
        client.txt2img(prompt=f"a cat{more}", **NATIVE, **model) for more in ("", f" <lora:{checkpoint}-{kind}:1>")
    )
    assert not same(plain, with_it)


def test_compose_takes_one_along_in_the_first_stage_only(client: Client, loras: list[str]) -> None:
    name = "sd1-convolution"
    assert name in loras
    plain = client.txt2img(COMPOSE, **LARGE)
    first = client.txt2img({**COMPOSE, "compose_lora": name}, **LARGE)
    both = client.txt2img(COMPOSE, prompt=f"a red (cat:1.2) <lora:{name}:1>", **LARGE)
    assert not same(first, plain)
    assert not same(first, both)
    assert "<lora" not in first.infotext
    assert f"compose_lora={name}" in first.infotext
    assert done(first).startswith("first pass: 1 tile of 192x96")
    assert same(plain, client.txt2img(COMPOSE, **LARGE)), "nothing of it is left"


def test_the_tiles_of_the_second_stage_can_have_one_of_their_own(client: Client, loras: list[str]) -> None:
    name = "sd1-convolution"
    assert name in loras
    plain = client.txt2img(COMPOSE, **LARGE)
    tiles = client.txt2img({**COMPOSE, "compose_tiles_lora": name}, **LARGE)
    first = client.txt2img({**COMPOSE, "compose_lora": name}, **LARGE)
    every = client.txt2img({**COMPOSE, "compose_lora": name, "compose_tiles_lora": name}, **LARGE)
    prompted = client.txt2img(COMPOSE, prompt=f"a red (cat:1.2) <lora:{name}:1>", **LARGE)
    assert not same(tiles, plain)
    assert not same(tiles, first)
    assert difference(every.images[0], prompted.images[0]) < 1, "both stages together are what the prompt asks for"
    assert "<lora" not in tiles.infotext
    assert same(plain, client.txt2img(COMPOSE, **LARGE)), "nothing of it is left"


def test_a_lora_that_is_not_there_is_refused_by_name(client: Client, loras: list[str]) -> None:
    with pytest.raises(
        RefusedError, match=r"422: .*compose_lora must be empty or one of .*sd1-convolution.*got 'tall'"
    ):
        client.txt2img({**COMPOSE, "compose_lora": "tall"}, **LARGE)
