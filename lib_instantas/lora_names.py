"""The names that kohya's LoRA files give the layers of a UNet, as the WebUI, Forge and diffusers read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PREFIX = "lora_unet_"

USUAL_BLOCKS, USUAL_LAYERS = 4, 2
"""Levels, and blocks a level, of SD 1.x and 2.x: what readers of diffusers' own names take for granted."""

RESNET = {"conv1": "in_layers.2", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}


def name_of(path: str, config: Mapping[str, Any]) -> str:
    """The name of the layer at a module path of diffusers' UNet ("down_blocks.0.resnets.0.conv1").

    As kohya writes them: SD 1.x and 2.x by diffusers' paths, SDXL by those of the original model. By those, too, models
    of other depths, whose readers could not tell the level from diffusers' path.
    """
    usual = config["layers_per_block"] == USUAL_LAYERS and len(config["block_out_channels"]) == USUAL_BLOCKS
    is_sdxl = config.get("addition_embed_type") == "text_time"
    return _joined(path) if usual and not is_sdxl else _joined(original_path(path, config))


def names_of(path: str, config: Mapping[str, Any]) -> tuple[str, str]:
    """Both names under which files may hold a layer."""
    return _joined(path), _joined(original_path(path, config))


def original_path(path: str, config: Mapping[str, Any]) -> str:
    """The path of a layer in the model's original layout ("input_blocks.1.0.in_layers.2"); of others, the same path.

    Every level is `layers_per_block` blocks and what changes the size; on the way up it has one block more.
    """
    layers = int(config["layers_per_block"])
    if match := re.fullmatch(r"down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)", path):
        level, kind, block, rest = int(match[1]), match[2], int(match[3]), match[4]
        return f"input_blocks.{1 + level * (layers + 1) + block}.{_inner(kind, rest)}"
    if match := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv", path):
        return f"input_blocks.{(int(match[1]) + 1) * (layers + 1)}.0.op"
    if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)", path):
        place = 1 if match[1] == "attentions" else 2 * int(match[2])
        return f"middle_block.{place}.{_inner(match[1], match[3]).partition('.')[2]}"
    if match := re.fullmatch(r"up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)", path):
        level, kind, block, rest = int(match[1]), match[2], int(match[3]), match[4]
        return f"output_blocks.{level * (layers + 1) + block}.{_inner(kind, rest)}"
    if match := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv", path):
        level = int(match[1])
        after = 2 if "CrossAttn" in config["up_block_types"][level] else 1
        return f"output_blocks.{level * (layers + 1) + layers}.{after}.conv"
    return path


def _inner(kind: str, rest: str) -> str:
    return f"1.{rest}" if kind == "attentions" else f"0.{RESNET.get(rest, rest)}"


def _joined(path: str) -> str:
    return PREFIX + path.replace(".", "_")
