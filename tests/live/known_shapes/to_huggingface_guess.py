"""Forge guesses a model from its UNet's widths, and builds its other networks from a folder in diffusers' layout."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from backend import loader
from huggingface_guess import model_list

from .described import Described, open_clip_config

FAMILIES = {"sd1": model_list.SD15, "sd2": model_list.SD20, "sdxl": model_list.SDXL}
OPEN_CLIP_FOLDERS = {"sd2": "text_encoder", "sdxl": "text_encoder_2"}


def teach(checkpoint: Described) -> None:
    """Add a model of the checkpoint's widths to those that the host can guess."""
    family = FAMILIES[checkpoint.family]
    widths = {key: value for key, value in family.unet_config.items() if key != "transformer_depth"}
    known = {"unet_config": widths | checkpoint.widths, "unet_extra_config": checkpoint.heads}
    known["huggingface_repo"] = str(_repository(checkpoint, family))
    model_list.models.append(type(f"Known{family.__name__}", (family,), known))


def _repository(checkpoint: Described, family: Any) -> Path:
    """A copy of the family's folder in which text encoders and autoencoder have the checkpoint's shapes."""
    folder = Path(tempfile.mkdtemp(prefix="known-shapes-")) / "repository"
    shutil.copytree(Path(loader.dir_path) / "huggingface" / family.huggingface_repo, folder)
    _change(folder / "vae" / "config.json", _autoencoder(checkpoint.autoencoder))
    if checkpoint.clip is not None:
        _change(folder / "text_encoder" / "config.json", checkpoint.clip_config)
        shutil.rmtree(folder / "tokenizer")
        shutil.copytree(checkpoint.clip, folder / "tokenizer")
    if checkpoint.family in OPEN_CLIP_FOLDERS:
        _change(folder / OPEN_CLIP_FOLDERS[checkpoint.family] / "config.json", open_clip_config())
    return folder


def _autoencoder(ddconfig: dict[str, Any]) -> dict[str, Any]:
    channels = [ddconfig["ch"] * multiple for multiple in ddconfig["ch_mult"]]
    return {"block_out_channels": channels, "layers_per_block": ddconfig["num_res_blocks"]}


def _change(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
