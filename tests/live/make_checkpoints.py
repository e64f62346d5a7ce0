"""Fill the model shapes with random weights. Runs in the WebUI's own Python: its model classes name the weights.

    python make_checkpoints.py WEBUI_DIR MODELS_DIR TEXT_ENCODER_DIR

MODELS_DIR holds `NAME.yaml` files; a `NAME.safetensors` is written beside each.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import open_clip
import torch
import transformers
from omegaconf import OmegaConf
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))

import forge_networks
from open_clip_architecture import register_architecture


def offline_text_encoders(folder: Path) -> None:
    """Let the model classes of this process build text encoders from the configuration in `folder`, without weights."""
    clip, tokenizer = transformers.CLIPTextModel, transformers.CLIPTokenizer
    load = tokenizer.from_pretrained
    clip.from_pretrained = lambda version, **_: clip(transformers.CLIPTextConfig.from_pretrained(folder))
    tokenizer.from_pretrained = lambda version, **_: load(folder)
    build = open_clip.create_model_and_transforms
    open_clip.create_model_and_transforms = lambda arch, device=None, pretrained=None: build(arch, device=device)


def randomise(model: torch.nn.Module) -> None:
    """Give each layer that starts at zero weights of its own, and each text norm a mean that is not zero.

    The WebUI divides by the mean of the text encoding when it restores it after weighting words. The autoencoder
    says that it is certain: its encoding draws from the global random numbers otherwise.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(False)
        if parameter.dim() > 1 and not parameter.any():
            parameter.normal_(std=0.5 / parameter[0].numel() ** 0.5)
        if "final_layer_norm.bias" in name or "ln_final.bias" in name:
            parameter.fill_(0.2)
        if name.startswith("first_stage_model.quant_conv"):
            half = parameter.shape[0] // 2
            parameter[half:] = -30.0 if parameter.dim() == 1 else 0.0


def build(config: Path, webui: Path, text_encoder: Path) -> torch.nn.Module:
    """The networks of one `NAME.yaml`, from the classes that the WebUI has."""
    if importlib.util.find_spec("ldm") is None:
        return forge_networks.build(OmegaConf.to_container(OmegaConf.load(config)), webui, text_encoder)
    from ldm.util import instantiate_from_config

    return instantiate_from_config(OmegaConf.load(config).model)


def write_checkpoint(config: Path, webui: Path, text_encoder: Path, seed: int) -> None:
    """Write `NAME.safetensors` for one `NAME.yaml`."""
    torch.manual_seed(seed)
    model = build(config, webui, text_encoder)
    randomise(model)
    weights = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(weights, str(config.with_suffix(".safetensors")))


def main(webui: Path, models: Path, text_encoder: Path) -> None:
    """Make every checkpoint that has a configuration and no weights yet."""
    for repository in ("stable-diffusion-stability-ai", "generative-models", "k-diffusion"):
        sys.path.insert(0, str(webui / "repositories" / repository))
    register_architecture()
    offline_text_encoders(text_encoder)
    for seed, config in enumerate(sorted(models.glob("*.yaml"))):
        write_checkpoint(config, webui, text_encoder, seed)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
