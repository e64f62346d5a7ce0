"""The model as one file in the layout of Stable Diffusion 1.x, with the yaml and the tokenizer folder beside it.

NAME.safetensors    fp16 weights under the names of the original CompVis release
NAME.yaml           sizes of the networks, in the same release's format
NAME/               tokenizer and text encoder config, as `CLIPTokenizer.from_pretrained` wants them
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Module
from transformers import CLIPTokenizer

from small_world import autoencoder, unet
from small_world.autoencoder import Autoencoder
from small_world.progress import channels_last
from small_world.schedule import alphas_cumprod, betas
from small_world.text import text_config, write_tokenizer
from small_world.train_unet import Painter

SCALE = 0.18215
"""What hosts of Stable Diffusion 1.x multiply latents by; the autoencoder is normalised to it."""
POSITIONS = "position_ids"
"""0, 1, 2, ...: transformers before 4.31 counts them among the weights of a text encoder."""
AUTOENCODER, UNET, TEXT = "first_stage_model.", "model.diffusion_model.", "cond_stage_model.transformer."


@dataclass(frozen=True)
class Model:
    """The three networks and the tokenizer."""

    autoencoder: Autoencoder
    painter: Painter
    tokenizer: CLIPTokenizer


def save(model: Model, path: Path) -> None:
    """Write PATH.safetensors with its yaml and folder."""
    folder = path.with_suffix("")
    write_tokenizer(folder)
    config = text_config(model.tokenizer).to_dict()
    config["architectures"] = ["CLIPTextModel"]
    for private in [name for name in config if name.startswith("_")]:
        del config[private]
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str))
    save_file(_weights(model), path, metadata={"format": "pt"})
    # A relative name: `install` writes the absolute one that the WebUI needs.
    path.with_suffix(".yaml").write_text(sizes_yaml(folder.name))


def load(path: Path) -> Model:
    """Read a checkpoint of Small World, in fp32 on the CPU."""
    weights = load_file(path)
    tokenizer = CLIPTokenizer.from_pretrained(path.with_suffix(""))
    coder, painter = Autoencoder(), Painter(tokenizer)
    for module, prefix in ((coder, AUTOENCODER), (painter.unet, UNET), (painter.text, TEXT)):
        part = {name[len(prefix) :]: value.float() for name, value in weights.items() if name.startswith(prefix)}
        module.load_state_dict(part | _constants(module))
        channels_last(module, "cpu")
    return Model(coder.eval().requires_grad_(False), painter.eval().requires_grad_(False), tokenizer)


def _constants(module: Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if name.endswith(POSITIONS)}


def _weights(model: Model) -> dict[str, Tensor]:
    parts = ((AUTOENCODER, model.autoencoder), (UNET, model.painter.unet), (TEXT, model.painter.text))
    weights = {
        prefix + name: value.detach().cpu().half().contiguous()
        for prefix, module in parts
        for name, value in module.state_dict().items()
        if not name.endswith(POSITIONS)
    }
    return weights | {"betas": betas().float(), "alphas_cumprod": alphas_cumprod().float()}


def sizes_yaml(text_folder: str) -> str:
    """Return the yaml; `text_folder` is where the tokenizer and config lie."""
    first_stage = {
        "double_z": True, "z_channels": autoencoder.LATENT, "resolution": 256, "in_channels": 3, "out_ch": 3,
        "ch": autoencoder.BASE, "ch_mult": list(autoencoder.MULTIPLES), "num_res_blocks": autoencoder.BLOCKS,
        "attn_resolutions": [], "dropout": 0.0,
    }  # fmt: skip
    noise_predictor = {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": unet.BASE,
        "attention_resolutions": list(unet.ATTENTION), "num_res_blocks": unet.BLOCKS,
        "channel_mult": list(unet.MULTIPLES), "num_heads": unet.HEADS, "use_spatial_transformer": True,
        "transformer_depth": 1, "context_dim": unet.CONTEXT, "use_checkpoint": False, "legacy": False,
    }  # fmt: skip
    params: dict[str, Any] = {
        "linear_start": 0.00085, "linear_end": 0.0120, "num_timesteps_cond": 1, "log_every_t": 200,
        "timesteps": 1000, "first_stage_key": "jpg", "cond_stage_key": "txt", "image_size": 32, "channels": 4,
        "cond_stage_trainable": False, "conditioning_key": "crossattn", "monitor": "val/loss_simple_ema",
        "scale_factor": SCALE, "use_ema": False,
        "unet_config": _part("ldm.modules.diffusionmodules.openaimodel.UNetModel", noise_predictor),
        "first_stage_config": _part(
            "ldm.models.autoencoder.AutoencoderKL",
            {"embed_dim": autoencoder.LATENT, "monitor": "val/rec_loss", "ddconfig": first_stage,
             "lossconfig": {"target": "torch.nn.Identity"}},
        ),
        "cond_stage_config": _part("ldm.modules.encoders.modules.FrozenCLIPEmbedder", {"version": text_folder}),
    }  # fmt: skip
    model = {"base_learning_rate": 1e-4} | _part("ldm.models.diffusion.ddpm.LatentDiffusion", params)
    return yaml.safe_dump({"model": model}, sort_keys=False)


def _part(target: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"target": target, "params": params}
