"""Which size a model knows: of one that is loaded, and of one that is only chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules import sd_models, shared
from safetensors.torch import save_file
from tiny_unets import LdmBlock, ldm_unet
from torch import nn

from lib_instantas.hosts.a1111.chosen import native_side_of_choice
from lib_instantas.hosts.a1111.live_line import line_for
from lib_instantas.hosts.a1111.native import native_side, native_side_of_file
from lib_instantas.hosts.a1111.settings_page import default_settings

WORDS = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
SIZES = "model.diffusion_model.label_emb.0.0.weight"
SD1 = {WORDS: (4, 768)}
SD2 = {WORDS: (4, 1024)}
SDXL = {WORDS: (4, 2048), SIZES: (4, 2816)}


class Blocks(nn.Module):
    """A UNet as far as the extension looks: it has a list of blocks on the way in."""

    def __init__(self) -> None:
        super().__init__()
        self.input_blocks = nn.ModuleList()


def reading(words: int) -> nn.Module:
    """A UNet whose prompts have so many channels: 768 in SD 1.x, 1024 in SD 2.x."""
    unet = ldm_unet()
    unet.input_blocks = nn.ModuleList()
    for block in unet.modules():
        if isinstance(block, LdmBlock):
            block.attn2.to_k = nn.Linear(words, 8)
    return unet


def model_of(network: nn.Module, **facts: Any) -> Any:
    return SimpleNamespace(model=SimpleNamespace(diffusion_model=network), **facts)


def patched(network: nn.Module, predicts: str = "epsilon") -> Any:
    """A model as Forge keeps it."""
    inner = SimpleNamespace(diffusion_model=network, predictor=SimpleNamespace(prediction_type=predicts))
    return SimpleNamespace(forge_objects=SimpleNamespace(unet=SimpleNamespace(model=inner)))


@pytest.mark.parametrize(
    ("model", "side"),
    [
        (SimpleNamespace(image_size=64, parameterization="eps"), 64),
        (SimpleNamespace(image_size=64, parameterization="v"), 96),
        (SimpleNamespace(image_size=32, parameterization="eps"), 32),
        (SimpleNamespace(image_size=32, cond_stage_key="edit"), 64),
        (SimpleNamespace(is_sdxl=True, parameterization="v"), 128),
        (SimpleNamespace(is_sd3=True), 128),
        (SimpleNamespace(), 64),
        (model_of(nn.Linear(2, 2)), 128),
        (model_of(Blocks()), 64),
        (patched(nn.Linear(2, 2)), 128),
        (patched(Blocks()), 64),
        (patched(Blocks(), "v_prediction"), 96),
        (patched(reading(768), "v_prediction"), 64),
        (patched(reading(1024), "v_prediction"), 96),
        (patched(reading(1024), "epsilon"), 64),
        (model_of(reading(768), image_size=64, parameterization="v"), 64),
        (model_of(reading(1024), image_size=64, parameterization="v"), 96),
    ],
)
def test_the_side_that_a_loaded_model_knows(model: Any, side: int) -> None:
    assert native_side(model) == side


def written(folder: Path, shapes: dict[str, tuple[int, ...]], name: str = "model.safetensors") -> Path:
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("shapes", "side"),
    [
        (SD1, 64),
        (SDXL, 128),
        ({WORDS: (4, 1280), SIZES: (4, 2560)}, 128),
        ({"model.diffusion_model.double_blocks.0.img_mod.lin.weight": (4, 4)}, 128),
        ({"double_blocks.0.img_mod.lin.weight": (4, 4)}, 128),
        ({"model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight": (4, 4)}, 128),
        (SD2, None),
        ({WORDS: (4, 1024), SIZES: (4, 2048)}, None),
        ({WORDS: (4, 5)}, None),
        ({"first_stage_model.decoder.conv_in.weight": (4, 4)}, None),
    ],
)
def test_the_side_that_a_file_tells(tmp_path: Path, shapes: dict[str, tuple[int, ...]], side: int | None) -> None:
    assert native_side_of_file(written(tmp_path, shapes)) == side


@pytest.mark.parametrize(("image_size", "kind", "side"), [(32, "eps", 32), (64, "eps", 64), (64, "v", 96)])
def test_a_file_with_a_configuration_of_its_own_is_told_by_it(
    tmp_path: Path, image_size: int, kind: str, side: int
) -> None:
    file = written(tmp_path, SD2)
    params = f"{{image_size: {image_size}, parameterization: {kind}}}"
    file.with_suffix(".yaml").write_text(f"model: {{params: {params}}}", "utf-8")
    assert native_side_of_file(file) == side


@pytest.mark.parametrize("content", [b"", b"\x05", b"\xff" * 100, b"\x02" + bytes(7) + b"{{"])
def test_a_file_that_is_something_else_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert native_side_of_file(tmp_path / "model.safetensors") is None
    assert native_side_of_file(tmp_path / "none.safetensors") is None
    assert native_side_of_file(written(tmp_path, SD1, "model.ckpt")) is None


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Have a checkpoint of these shapes chosen, and this model loaded."""

    def choose(shapes: dict[str, tuple[int, ...]], loaded: Any) -> Any:
        info = SimpleNamespace(filename=str(written(tmp_path, shapes)))
        monkeypatch.setitem(sd_models.checkpoints_list, "chosen", info)
        monkeypatch.setitem(shared.opts.data, "sd_model_checkpoint", "chosen")
        monkeypatch.setattr(sd_models.model_data, "sd_model", loaded)
        return info

    return choose


NOT_LOADED = (None, SimpleNamespace(cond_stage_model=None))
"""Nothing, and what Forge puts in its place."""


@pytest.mark.parametrize("loaded", NOT_LOADED)
def test_before_a_model_is_loaded_its_file_is_asked(choose: Any, loaded: Any) -> None:
    choose(SDXL, loaded)
    assert native_side_of_choice() == 128
    assert line(1024, 1024).startswith("nothing to do")


def test_what_is_chosen_counts_and_not_what_is_still_loaded(choose: Any) -> None:
    loaded = patched(Blocks())
    loaded.sd_checkpoint_info = SimpleNamespace(filename="another.safetensors")
    info = choose(SDXL, loaded)
    assert native_side_of_choice() == 128
    loaded.sd_checkpoint_info = info
    assert native_side_of_choice() == 64


@pytest.mark.parametrize("loaded", NOT_LOADED)
def test_what_a_file_does_not_tell_is_said_to_be_unknown(choose: Any, loaded: Any) -> None:
    choose(SD2, loaded)
    assert native_side_of_choice() is None
    assert line(1024, 512).endswith("(if the model knows 512x512, which is found out when it is loaded)")
    assert "found out" not in line(1024, 512, tile=512)


def line(width: int, height: int, **values: Any) -> str:
    arguments = list((default_settings().dict() | {"enabled": True} | values).values())
    return line_for(arguments, {"width": width, "height": height, "steps": 20})
