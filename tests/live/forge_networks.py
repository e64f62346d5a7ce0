"""The networks of a `NAME.yaml` from the classes of a host without `ldm` (Forge): weights of the same names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import open_clip
import torch
import transformers
from open_clip_architecture import NAME


def build(config: dict[str, Any], webui: Path, text_encoder: Path) -> torch.nn.Module:
    """Every network that the checkpoint holds, as submodules under the names of its weights."""
    sys.path[:0] = [str(webui), str(webui / "packages_3rdparty")]
    sys.argv = [sys.argv[0], "--always-cpu"]  # the host looks for a device while it is imported
    from backend.nn.unet import IntegratedUNet2DConditionModel
    from backend.nn.vae import IntegratedAutoencoderKL

    params = config["model"]["params"]
    networks = dict(_text(params, text_encoder))
    networks["model.diffusion_model"] = IntegratedUNet2DConditionModel(**_unet(params))
    networks["first_stage_model"] = IntegratedAutoencoderKL(**_autoencoder(params))
    return _nested(networks)


def _unet(params: dict[str, Any]) -> dict[str, Any]:
    given = dict((params.get("network_config") or params["unet_config"])["params"])
    attended = given.pop("attention_resolutions")
    levels = range(len(given["channel_mult"]))
    depth = given["transformer_depth"]
    by_level = list(depth) if isinstance(depth, (list, tuple)) else [depth for _ in levels]
    used = [by_level[level] if 2**level in attended else 0 for level in levels]
    blocks = given["num_res_blocks"]
    for name in ("image_size", "legacy", "use_checkpoint"):
        given.pop(name, None)
    given["transformer_depth"] = [used[level] for level in levels for _ in range(blocks)]
    given["transformer_depth_output"] = [used[level] for level in levels for _ in range(blocks + 1)]
    return given | {"transformer_depth_middle": by_level[-1]}


def _autoencoder(params: dict[str, Any]) -> dict[str, Any]:
    ddconfig = params["first_stage_config"]["params"]["ddconfig"]
    channels = [ddconfig["ch"] * multiple for multiple in ddconfig["ch_mult"]]
    return {"block_out_channels": channels, "layers_per_block": ddconfig["num_res_blocks"]}


def _text(params: dict[str, Any], text_encoder: Path) -> dict[str, torch.nn.Module]:
    if "conditioner_config" in params:
        return {
            "conditioner.embedders.0.transformer": _clip(text_encoder),
            "conditioner.embedders.1.model": _open_clip(),
        }
    text = params["cond_stage_config"]
    if "OpenCLIP" in text["target"]:
        return {"cond_stage_model.model": _open_clip()}
    return {"cond_stage_model.transformer": _clip(text_encoder)}


def _clip(folder: Path) -> torch.nn.Module:
    return transformers.CLIPTextModel(transformers.CLIPTextConfig.from_pretrained(folder))


def _open_clip() -> torch.nn.Module:
    model = open_clip.create_model(NAME)
    del model.visual
    return model


def _nested(networks: dict[str, torch.nn.Module]) -> torch.nn.Module:
    root = torch.nn.Module()
    for path, network in networks.items():
        *above, name = path.split(".")
        owner = root
        for step in above:
            if step not in owner._modules:
                owner.add_module(step, torch.nn.Module())
            owner = owner._modules[step]
        owner.add_module(name, network)
    return root
