"""reForge, Forge Classic guess a model from its UNet's widths; classes build its text encoders and autoencoder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ldm_patched.modules import model_base, sd1_clip, supported_models, supported_models_base
from modules_forge import forge_loader

from .described import Described, open_clip_config

FAMILIES = {"sd1": supported_models.SD15, "sd2": supported_models.SD20, "sdxl": supported_models.SDXL}
OPEN_CLIP_TOKENS = {"start": 49406, "end": 49407, "pad": 0}
autoencoders: dict[int, dict[str, Any]] = {}
"""`ddconfig` by the number of channels at the picture's own resolution."""


def teach(checkpoint: Described) -> None:
    """Add a model of the checkpoint's widths to those that the host can guess."""
    family = FAMILIES[checkpoint.family]
    widths = {key: value for key, value in family.unet_config.items() if key != "transformer_depth"}
    known: dict[str, Any] = {"unet_config": widths | checkpoint.widths, "unet_extra_config": checkpoint.heads}
    target = supported_models_base.ClipTarget(*_text(checkpoint))
    if checkpoint.family == "sd2":  # the host looks for `v` in a block that only the real one has
        known["model_type"] = lambda self, state_dict, prefix="": model_base.ModelType.EPS
    known["clip_target"] = lambda self, state_dict=None: target
    supported_models.models.append(type(f"Known{family.__name__}", (family,), known))
    autoencoders[checkpoint.autoencoder["ch"]] = checkpoint.autoencoder


def _text(checkpoint: Described) -> tuple[Any, Any]:
    """What makes the tokenizer, and what makes the text encoders."""
    clip_l = partial(sd1_clip.SDTokenizer, tokenizer_path=str(checkpoint.clip) if checkpoint.clip else None)
    padded = partial(sd1_clip.SDTokenizer, pad_with_end=False)
    if checkpoint.family == "sdxl":
        return _several(clip_l=clip_l, clip_g=padded), _several_models(checkpoint)
    name, tokenizer, model = {
        "sd1": ("l", clip_l, lambda: _clip(checkpoint.clip_config)),
        "sd2": ("h", padded, lambda: _open_clip(layer_norm_hidden_state=True)),
    }[checkpoint.family]
    tokenizer_of = partial(sd1_clip.SD1Tokenizer, clip_name=name, tokenizer=tokenizer)
    return tokenizer_of, lambda **given: sd1_clip.SD1ClipModel(clip_name=name, clip_model=model(), **given)


def _clip(config: dict[str, Any], **given: Any) -> Callable[..., Any]:
    file = Path(tempfile.mkdtemp(prefix="known-shapes-")) / "config.json"
    file.write_text(json.dumps(config), "utf-8")
    return partial(sd1_clip.SDClipModel, textmodel_json_config=str(file), **given)


def _open_clip(layer_norm_hidden_state: bool) -> Callable[..., Any]:
    given = {"special_tokens": OPEN_CLIP_TOKENS, "layer_norm_hidden_state": layer_norm_hidden_state}
    return _clip(open_clip_config(), layer="hidden", layer_idx=-2, **given)


def _several(**tokenizers: Callable[..., Any]) -> Callable[..., Any]:
    class Tokenizers:
        def __init__(self, **given: Any) -> None:
            for name, make in tokenizers.items():
                setattr(self, name, make(**given))

    return Tokenizers


def _several_models(checkpoint: Described) -> Callable[..., Any]:
    class TextEncoders(torch.nn.Module):
        def __init__(self, dtype: Any = None, **given: Any) -> None:
            super().__init__()
            clip_l = _clip(checkpoint.clip_config, layer="hidden", layer_idx=-2, layer_norm_hidden_state=False)
            self.clip_l = clip_l(dtype=dtype, **given)
            self.clip_g = _open_clip(layer_norm_hidden_state=False)(dtype=dtype, **given)
            self.dtypes = {dtype} if dtype is not None else set()

    return TextEncoders


def _autoencoder(sd: dict[str, Any], **given: Any) -> Any:
    ddconfig = autoencoders.get(sd["decoder.conv_out.weight"].shape[1]) if "decoder.conv_out.weight" in sd else None
    config = {"params": {"ddconfig": ddconfig, "embed_dim": 4}} if ddconfig else None
    return _built_in(sd=sd, config=config, **given)


_built_in = forge_loader.VAE
forge_loader.VAE = _autoencoder
