"""The side of the square that a model was trained on, in latent pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lib_instantas.attention_layers import context_width
from lib_instantas.hosts.weight_shapes import Shape, weight_shapes

SD1, SD2_V, SDXL = 64, 96, 128

SD1_WORDS, SD2_WORDS = 768, 1024
"""Channels of the prompt."""

UNET_BLOCKS = ("input_blocks", "down_blocks")
"""One of these lists of blocks tells a UNet, in which convolutions can be spread, from a transformer."""

TRANSFORMER_BLOCKS = ("double_blocks.", "joint_blocks.")
"""In the names of the weights of Flux and its kin, and of SD 3."""


def is_unet(network: Any) -> bool:
    """Whether the network that predicts is a UNet; else it is a transformer (SD 3, Flux)."""
    return any(hasattr(network, name) for name in UNET_BLOCKS)


def largest_side(network: Any) -> int | None:
    """Latent pixels a side that SD 3 has positions for (its table is cropped to what it is asked about), else None."""
    positions = getattr(network, "pos_embed_max_size", None)
    return None if positions is None else int(positions) * int(network.patch_size)


def native_side(model: Any) -> int:
    """64 for SD 1.x and 2-base, 96 for SD 2 `v`, 128 for SDXL and transformers, else what the configuration says.

    The configuration's `image_size` says 64 for SD 2 `v` too, and 32 for InstructPix2Pix, whose training at 32 was
    a fine-tuning of SD 1: neither is taken at its word. SD 1.x that was taught to predict `v` keeps its 64: its prompts
    are as wide as those of SD 1.x.
    """
    if getattr(model, "is_sdxl", False) or getattr(model, "is_sd3", False) or _is_transformer(model):
        return SDXL
    declared = getattr(model, "image_size", None) or _written_beside(_file_of(model)).get("image_size") or SD1
    kind = getattr(model, "parameterization", None) or _prediction(model)
    return _believed(declared, kind, getattr(model, "cond_stage_key", None), context_width(network_of(model)))


def native_side_of_file(file: Path) -> int | None:
    """The same for a checkpoint that is not loaded; None where only loading it will tell.

    Which of the two sizes an SD 2 model knows is told by its weights, not by their shapes.
    """
    shapes = weight_shapes(file)
    if any(block in name for name in shapes for block in TRANSFORMER_BLOCKS):
        return SDXL
    words = _channels_of_words(shapes)
    if any("label_emb." in name for name in shapes):  # unCLIP, of SD 2, has it too
        return None if words == SD2_WORDS else SDXL
    written = _written_beside(file)
    if "image_size" in written:
        return _believed(written["image_size"], written.get("parameterization"), written.get("cond_stage_key"), words)
    return SD1 if words == SD1_WORDS else None


def _believed(declared: Any, prediction: Any, condition: Any, words: int | None) -> int:
    if not isinstance(declared, int) or declared < 8 or condition == "edit":
        return SD1
    is_sd2_v = declared == SD1 and prediction in ("v", "v_prediction") and words != SD1_WORDS
    return SD2_V if is_sd2_v else declared


def _channels_of_words(shapes: dict[str, Shape]) -> int | None:
    keys = (shape[-1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight"))
    return next(keys, None)


def _is_transformer(model: Any) -> bool:
    network = network_of(model)
    return network is not None and not is_unet(network)


def network_of(model: Any) -> Any:
    """What predicts: on Forge behind a patcher, elsewhere in a wrapper of its own. None before a model is loaded."""
    objects = getattr(model, "forge_objects", None)
    wrapper = objects.unet.model if objects is not None else getattr(model, "model", None)
    return getattr(wrapper, "diffusion_model", None)


def _file_of(model: Any) -> Path | None:
    file = getattr(getattr(model, "sd_checkpoint_info", None), "filename", None)
    return Path(file) if file else None


def _written_beside(file: Path | None) -> dict[str, Any]:
    """The parameters in the checkpoint's own NAME.yaml, for hosts that build models without it."""
    config = file.with_suffix(".yaml") if file else None
    if config is None or not config.is_file():
        return {}
    written = yaml.safe_load(config.read_text("utf-8"))
    params = written.get("model", {}).get("params", {}) if isinstance(written, dict) else {}
    return params if isinstance(params, dict) else {}


def _prediction(model: Any) -> str:
    """Forge keeps what is predicted with the schedule of the noise."""
    objects = getattr(model, "forge_objects", None)
    predictor = getattr(objects.unet.model, "predictor", None) if objects is not None else None
    return getattr(predictor, "prediction_type", "epsilon")
