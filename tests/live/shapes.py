"""Model configurations of the shapes the WebUI knows, small enough to sample on two CPU cores in a second.

Written as the checkpoint's own `NAME.yaml`. Only widths differ from the real models: blocks, attention, latent scale,
parameterisation and the way conditioning travels (list of tensors for SD 1 and 2, dictionaries for SDXL) are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

Config = dict[str, Any]

TEXT_WIDTH = 32
NATIVE = 16
"""Side in latent pixels that the SD 1- and SD 2-shaped models say they know: 128 image pixels."""

SIZE_WIDTH = 256
"""Width of each of SDXL's six size embeddings: the real one, which some hosts count on."""

OPEN_CLIP_ARCHITECTURE = "instantas-tiny"


def autoencoder(target: str) -> Config:
    """An eightfold autoencoder of 32 channels."""
    layers = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32}
    layers |= {"ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0}
    params = {
        "embed_dim": 4,
        "monitor": "val/rec_loss",
        "ddconfig": layers,
        "lossconfig": {"target": "torch.nn.Identity"},
    }
    return {"target": target, "params": params}


def unet(target: str, **changes: Any) -> Config:
    """A UNet with three downsamplings and cross-attention at each resolution but the last."""
    params: Config = {"in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": 1}
    params |= {"attention_resolutions": [4, 2, 1], "channel_mult": [1, 2, 2, 2], "use_spatial_transformer": True}
    params |= {
        "transformer_depth": 1,
        "context_dim": TEXT_WIDTH,
        "use_checkpoint": False,
        "legacy": False,
        "num_heads": 4,
    }
    return {"target": target, "params": params | changes}


def clip_text(text_encoder: Path) -> Config:
    """The text encoder of SD 1, from a local folder with tokenizer and configuration."""
    return {"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder", "params": {"version": str(text_encoder)}}


def open_clip_text() -> Config:
    """The text encoder of SD 2; the architecture is registered by the extension in `probe_extension`."""
    params = {"arch": OPEN_CLIP_ARCHITECTURE, "version": "none", "freeze": True, "layer": "penultimate"}
    return {"target": "ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder", "params": params}


def latent_diffusion(
    text: Config, parameterization: str = "eps", inpainting: bool = False, deep: bool = False
) -> Config:
    """SD 1 and SD 2: one class, told apart by the text encoder and by what is predicted.

    `deep` has as many blocks as the real one, which adapters count on.
    """
    kind = "LatentInpaintDiffusion" if inpainting else "LatentDiffusion"
    wide = {"image_size": 32, "use_linear_in_transformer": "OpenCLIP" in text["target"]}
    params: Config = {"linear_start": 0.00085, "linear_end": 0.012, "num_timesteps_cond": 1, "timesteps": 1000}
    params |= {"first_stage_key": "jpg", "cond_stage_key": "txt", "image_size": NATIVE, "channels": 4, "use_ema": False}
    params |= {"cond_stage_trainable": False, "conditioning_key": "hybrid" if inpainting else "crossattn"}
    params |= {"monitor": "val/loss_simple_ema", "scale_factor": 0.18215, "parameterization": parameterization}
    if inpainting:
        params["finetune_keys"] = None
    channels: Config = {"in_channels": 9} if inpainting else {}
    if deep:
        channels |= {"num_res_blocks": 2, "channel_mult": [1, 2, 4, 4]}
    params["unet_config"] = unet("ldm.modules.diffusionmodules.openaimodel.UNetModel", **channels, **wide)
    params["first_stage_config"] = autoencoder("ldm.models.autoencoder.AutoencoderKL")
    params["cond_stage_config"] = text
    return {"model": {"target": f"ldm.models.diffusion.ddpm.{kind}", "params": params}}


def _size_embedder(key: str) -> Config:
    target = "sgm.modules.encoders.modules.ConcatTimestepEmbedderND"
    return {"is_trainable": False, "input_key": key, "target": target, "params": {"outdim": SIZE_WIDTH}}


def _sdxl_conditioner(text_encoder: Path) -> Config:
    clip = {"is_trainable": False, "input_key": "txt", "target": "sgm.modules.encoders.modules.FrozenCLIPEmbedder"}
    clip["params"] = {"version": str(text_encoder), "layer": "hidden", "layer_idx": 1}
    big = {"is_trainable": False, "input_key": "txt", "target": "sgm.modules.encoders.modules.FrozenOpenCLIPEmbedder2"}
    big["params"] = {"arch": OPEN_CLIP_ARCHITECTURE, "version": "none", "freeze": True, "layer": "penultimate"}
    big["params"] |= {"always_return_pooled": True, "legacy": False}
    sizes = [_size_embedder(key) for key in ("original_size_as_tuple", "crop_coords_top_left", "target_size_as_tuple")]
    return {"target": "sgm.modules.GeneralConditioner", "params": {"emb_models": [clip, big, *sizes]}}


def sdxl(text_encoder: Path) -> Config:
    """SDXL: two text encoders laid side by side, a pooled vector and size embeddings, conditioning as dictionaries."""
    parts = "sgm.modules.diffusionmodules"
    denoiser = {
        "num_idx": 1000,
        "weighting_config": {"target": f"{parts}.denoiser_weighting.EpsWeighting"},
        "scaling_config": {"target": f"{parts}.denoiser_scaling.EpsScaling"},
        "discretization_config": {"target": f"{parts}.discretizer.LegacyDDPMDiscretization"},
    }
    network = unet(f"{parts}.openaimodel.UNetModel", use_linear_in_transformer=True, transformer_depth=[1, 1, 2, 2])
    network["params"] |= {
        "context_dim": 2 * TEXT_WIDTH,
        "num_classes": "sequential",
        "adm_in_channels": TEXT_WIDTH + 6 * SIZE_WIDTH,
    }
    params: Config = {"scale_factor": 0.13025, "disable_first_stage_autocast": True}
    params["denoiser_config"] = {"target": f"{parts}.denoiser.DiscreteDenoiser", "params": denoiser}
    params["network_config"] = network
    params["conditioner_config"] = _sdxl_conditioner(text_encoder)
    params["first_stage_config"] = autoencoder("sgm.models.autoencoder.AutoencoderKLInferenceWrapper")
    return {"model": {"target": "sgm.models.diffusion.DiffusionEngine", "params": params}}


def all_shapes(text_encoder: Path) -> dict[str, Config]:
    """Every checkpoint of the live tests by name."""
    return {
        "sd1": latent_diffusion(clip_text(text_encoder)),
        "sd1-deep": latent_diffusion(clip_text(text_encoder), deep=True),
        "sd1-second": latent_diffusion(clip_text(text_encoder)),
        "sd1-inpainting": latent_diffusion(clip_text(text_encoder), inpainting=True),
        "sd2": latent_diffusion(open_clip_text()),
        "sd2-v": latent_diffusion(open_clip_text(), parameterization="v"),
        "sdxl": sdxl(text_encoder),
    }
