"""What a checkpoint's own `NAME.yaml` says about the shapes of its networks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

OPEN_CLIP_VOCABULARY = 49408


@dataclass(frozen=True)
class Described:
    """A checkpoint's family (`sd1`, `sd2` or `sdxl`) and the configuration of each of its networks."""

    family: str
    unet: dict[str, Any]
    autoencoder: dict[str, Any]
    clip: Path | None
    """Folder of tokenizer and configuration of the CLIP text encoder, for SD 1 and SDXL."""

    @property
    def heads(self) -> dict[str, int]:
        """How the UNet's channels are split into heads."""
        return {"num_heads": self.unet["num_heads"], "num_head_channels": -1}

    @property
    def widths(self) -> dict[str, Any]:
        """What tells this UNet from those of other widths."""
        widths = {key: self.unet[key] for key in ("model_channels", "context_dim")}
        return {**widths, "adm_in_channels": self.unet.get("adm_in_channels")}

    @property
    def clip_config(self) -> dict[str, Any]:
        """The CLIP text encoder's configuration."""
        assert self.clip is not None
        return json.loads((self.clip / "config.json").read_text("utf-8"))


def open_clip_config() -> dict[str, Any]:
    """The tiny OpenCLIP text tower (`open_clip_architecture`), as the configuration of a CLIP text encoder."""
    config: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 128, "projection_dim": 32, "hidden_act": "gelu"}
    config |= {"num_hidden_layers": 3, "num_attention_heads": 2, "max_position_embeddings": 77}
    config |= {"vocab_size": OPEN_CLIP_VOCABULARY, "model_type": "clip_text_model", "layer_norm_eps": 1e-5}
    return config | {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "torch_dtype": "float32"}


def described(folder: Path) -> Iterator[Described]:
    """Every checkpoint of a folder that brings its own configuration."""
    for path in sorted(folder.glob("*.yaml")):
        params = yaml.safe_load(path.read_text("utf-8"))["model"]["params"]
        unet = (params.get("network_config") or params["unet_config"])["params"]
        autoencoder = params["first_stage_config"]["params"]["ddconfig"]
        family, version = _text(params)
        yield Described(family, unet, autoencoder, path.parent / version if version else None)


def _text(params: dict[str, Any]) -> tuple[str, str | None]:
    if "conditioner_config" in params:
        return "sdxl", params["conditioner_config"]["params"]["emb_models"][0]["params"]["version"]
    text = params["cond_stage_config"]
    return ("sd2", None) if "OpenCLIP" in text["target"] else ("sd1", text["params"]["version"])
