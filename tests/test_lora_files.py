"""LoRA files: kohya's names of the layers, and a LoRA on a UNet for a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tiny_pipelines import PIPELINES

from lib_instantas.hosts.diffusers_lora import read_lora
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.lora_names import name_of, names_of, original_path
from lib_instantas.settings import SettingsError, parse_settings
from small_world import CHECKPOINT

SD = {"layers_per_block": 2, "block_out_channels": [320, 640, 1280, 1280], "addition_embed_type": None}
SD["up_block_types"] = ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3]
SDXL = {**SD, "block_out_channels": [320, 640, 1280], "addition_embed_type": "text_time"}
SDXL["up_block_types"] = ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]
SMALL = {**SD, "layers_per_block": 1, "block_out_channels": [64, 128, 128], "up_block_types": SDXL["up_block_types"]}


@pytest.mark.parametrize(
    ("config", "path", "name"),
    [
        (SD, "down_blocks.0.resnets.1.conv1", "lora_unet_down_blocks_0_resnets_1_conv1"),
        (SD, "up_blocks.1.upsamplers.0.conv", "lora_unet_up_blocks_1_upsamplers_0_conv"),
        (
            SD,
            "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0",
        ),
        (
            SDXL,
            "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k",
            "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k",
        ),
        (SDXL, "down_blocks.0.downsamplers.0.conv", "lora_unet_input_blocks_3_0_op"),
        (SDXL, "up_blocks.0.upsamplers.0.conv", "lora_unet_output_blocks_2_2_conv"),
        (SDXL, "up_blocks.2.resnets.2.conv_shortcut", "lora_unet_output_blocks_8_0_skip_connection"),
        (SDXL, "mid_block.resnets.1.conv2", "lora_unet_middle_block_2_out_layers_3"),
        (SMALL, "down_blocks.2.attentions.0.proj_in", "lora_unet_input_blocks_5_1_proj_in"),
    ],
)
def test_layers_have_the_names_that_kohya_gives_them(config: dict[str, Any], path: str, name: str) -> None:
    assert name_of(path, config) == name


def test_original_paths_are_those_of_a_checkpoint() -> None:
    """Small World's own file names its layers as the original model does."""
    from lib_instantas.hosts.checkpoints import load_pipeline

    unet = load_pipeline(CHECKPOINT).unet
    original = load_file(CHECKPOINT)
    layers = [n for n, m in unet.named_modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)) and "block" in n]
    layers = [name for name in layers if not name.endswith("time_emb_proj")]
    assert len(layers) == 117
    for layer in layers:
        weight = original[f"model.diffusion_model.{original_path(layer, unet.config)}.weight"]
        torch.testing.assert_close(weight.float(), unet.get_submodule(layer).weight)


@pytest.fixture(scope="module", params=list(PIPELINES))
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator(PIPELINES[request.param](tmp_path_factory.mktemp("lora")))


def random_lora(unet: UNet2DConditionModel, paths: list[str], which: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    weights = {}
    for path in paths:
        layer, name = unet.get_submodule(path), names_of(path, unet.config)[which]
        ends = (1, 1) if layer.weight.ndim == 4 else ()
        weights[f"{name}.lora_down.weight"] = torch.randn(3, *layer.weight.shape[1:])
        weights[f"{name}.lora_up.weight"] = torch.randn(layer.weight.shape[0], 3, *ends)
        weights[f"{name}.alpha"] = torch.tensor(1.5)
    return weights


LAYERS = [
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
    "mid_block.attentions.0.proj_in",
    "down_blocks.0.downsamplers.0.conv",
    "up_blocks.0.resnets.0.conv1",
]


@pytest.mark.parametrize("which", [0, 1])
def test_a_lora_is_its_product_added_to_the_weights(generator: Generator, tmp_path: Path, which: int) -> None:
    unet = generator.pipeline.unet
    weights = random_lora(unet, LAYERS, which)
    save_file(weights, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors", unet, "compose_lora")
    for path in LAYERS:
        layer, name = unet.get_submodule(path), names_of(path, unet.config)[which]
        down, up = weights[f"{name}.lora_down.weight"], weights[f"{name}.lora_up.weight"]
        x = (
            torch.randn(2, *layer.weight.shape[1:2], 6, 6)
            if layer.weight.ndim == 4
            else torch.randn(2, 5, down.shape[1])
        )
        plain = layer(x)
        with lora.on(unet):
            added = layer(x)
        before = layer.weight.data
        layer.weight.data = before + 0.5 * (up.flatten(1) @ down.flatten(1)).reshape(before.shape)
        merged = layer(x)
        layer.weight.data = before
        torch.testing.assert_close(added, merged, atol=1e-4, rtol=1e-4)
        assert torch.equal(layer(x), plain)


def test_a_stage_alone_has_it(generator: Generator, tmp_path: Path) -> None:
    file = tmp_path / "tall.safetensors"
    save_file(random_lora(generator.pipeline.unet, LAYERS), file)
    states: list[list[torch.Tensor]] = []

    def paint(**settings: Any) -> str:
        states.append([])
        values = parse_settings({"enabled": True, "compose": True, "compose_upscaler": "Latent", **settings})
        job = Job("a fox", (128, 384), values, seed=3, steps=4, sampler="DDIM")
        hooks = []
        result = generator(job, on_step=lambda step, latents: hooks.append(_hooked(generator.pipeline.unet)))
        states[-1] = [torch.tensor(count) for count in hooks]
        assert _hooked(generator.pipeline.unet) == 0
        return result.infotext

    assert "tall.safetensors" in paint(compose_lora=str(file))
    paint()
    paint(compose_tiles_lora=str(file))
    assert [int(count) for count in states[0]] == [len(LAYERS)] * 4 + [0] * 2
    assert [int(count) for count in states[1]] == [0] * 6
    assert [int(count) for count in states[2]] == [0] * 4 + [len(LAYERS)] * 2


def _hooked(unet: torch.nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in unet.modules())


def test_it_changes_the_picture_and_leaves_nothing(generator: Generator, tmp_path: Path) -> None:
    file = tmp_path / "tall.safetensors"
    save_file(random_lora(generator.pipeline.unet, LAYERS), file)

    def paint(lora: str) -> bytes:
        values = parse_settings({"enabled": True, "compose": True, "compose_lora": lora})
        return generator(Job("a fox", (128, 384), values, seed=3, steps=4, sampler="DDIM")).image.tobytes()

    before = paint("")
    assert paint(str(file)) != before
    assert paint("") == before


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"lora_unet_nowhere.lora_down.weight": torch.zeros(1)}, "nothing else, x.safetensors holds lora_unet_nowhere"),
        (
            {"lora_te_text_model.lora_down.weight": torch.zeros(1)},
            "nothing else, x.safetensors holds lora_te_text_model",
        ),
        ({}, "holds none"),
        (None, "compose_lora must be a LoRA as a safetensors file, got '.*x.safetensors'"),
    ],
)
def test_what_is_no_lora_of_this_model_is_refused_before_painting(
    generator: Generator, tmp_path: Path, weights: dict[str, torch.Tensor] | None, message: str
) -> None:
    file = tmp_path / "x.safetensors"
    if weights is not None:
        save_file(weights, file)
    painted: list[int] = []
    values = parse_settings({"enabled": True, "compose": True, "compose_lora": str(file)})
    with pytest.raises(SettingsError, match=message):
        generator(Job("a fox", (128, 384), values), on_step=lambda step, latents: painted.append(step))
    assert not painted


def test_a_lora_of_another_size_is_refused(generator: Generator, tmp_path: Path) -> None:
    name = names_of(LAYERS[0], generator.pipeline.unet.config)[0]
    weights = {f"{name}.lora_down.weight": torch.zeros(2, 999), f"{name}.lora_up.weight": torch.zeros(16, 2)}
    save_file(weights, tmp_path / "x.safetensors")
    with pytest.raises(SettingsError, match="compose_tiles_lora must fit this model"):
        read_lora(tmp_path / "x.safetensors", generator.pipeline.unet, "compose_tiles_lora")
