"""Stable Diffusion checkpoints as diffusers pipelines, without asking the network for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lib_instantas.settings import SettingsError


def load_pipeline(model: Path, device: str = "cpu") -> Any:
    """A diffusers text-to-image pipeline from a folder in diffusers' layout or from a single checkpoint file.

    A checkpoint with its own `NAME.yaml` beside it brings its text encoder's tokenizer and config in the folder that
    `cond_stage_config.params.version` names (relative to the yaml file, or absolute); it may have any size. Any other
    SD 1.x, 2.x or SDXL checkpoint is loaded as diffusers loads it. On graphics cards weights are in half precision.
    Raises SettingsError if there is no such model or device.
    """
    if not model.exists():
        raise SettingsError(f"model must be a checkpoint file or a diffusers folder, there is none at {model}")
    target = _device(device)
    try:
        pipeline = _from_folder(model) if model.is_dir() else _from_file(model)
    except Exception as reason:
        raise SettingsError(f"model must be a Stable Diffusion model, {model} could not be read: {reason}") from reason
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(target, weights_of(target))


HALF_PRECISION = ("cuda", "xpu", "mps")
"""Kinds of devices on which models are run in half precision, as the WebUI does."""


def weights_of(device: torch.device) -> torch.dtype:
    """In which precision a model is kept on a device."""
    return torch.float16 if device.type in HALF_PRECISION else torch.float32


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except Exception as reason:
        raise SettingsError(
            f"device must be one that torch has here (cpu, cuda, ...), got {name!r}: {reason}"
        ) from None
    return device


def _from_folder(folder: Path) -> Any:
    from diffusers import DiffusionPipeline

    return DiffusionPipeline.from_pretrained(folder)


def _from_file(file: Path) -> Any:
    config = file.with_suffix(".yaml")
    if config.exists():
        return _with_own_config(file, config)
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    return (StableDiffusionXLPipeline if _is_sdxl(file) else StableDiffusionPipeline).from_single_file(str(file))


def _is_sdxl(file: Path) -> bool:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as weights:
        return any(key.startswith("conditioner.embedders.1.") for key in weights.keys())  # noqa: SIM118 (not a dict)


def _with_own_config(file: Path, config: Path) -> Any:
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from safetensors.torch import load_file

    weights = {key: value.float() for key, value in load_file(file).items()}
    settings = _read_yaml(config)
    params = settings["model"]["params"]
    tokenizer, text_encoder = _text_encoder(config, params, weights)
    unet = UNet2DConditionModel.from_single_file(dict(weights), original_config=settings)
    unet.register_to_config(sample_size=params["image_size"])
    scheduler = DDIMScheduler(
        beta_start=params["linear_start"],
        beta_end=params["linear_end"],
        beta_schedule="scaled_linear",
        num_train_timesteps=params["timesteps"],
        prediction_type="v_prediction" if params.get("parameterization") == "v" else "epsilon",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    return StableDiffusionPipeline(
        vae=AutoencoderKL.from_single_file(dict(weights), original_config=settings),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _text_encoder(config: Path, params: dict[str, Any], weights: dict[str, torch.Tensor]) -> tuple[Any, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = config.parent / params["cond_stage_config"]["params"]["version"]
    prefix = "cond_stage_model.transformer."
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(folder))
    encoder.load_state_dict(own, strict=False)
    return CLIPTokenizer.from_pretrained(folder), encoder.eval()
