"""UNets in the shape of real models, with random weights: good for time and memory, not for pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

NATIVE = 64
TOKENS, TOKEN_WIDTH = 77, 768

SD15: dict[str, Any] = {
    "sample_size": NATIVE,
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": TOKEN_WIDTH,
    "attention_head_dim": 8,
}
SD20: dict[str, Any] = {
    **SD15,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
SDXL: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
TINY: dict[str, Any] = {"sample_size": 8, "norm_num_groups": 4, "cross_attention_dim": 16, "attention_head_dim": 4}


def unet(config: dict[str, Any], device: str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """A UNet of diffusers' layout."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            made: Any = UNet2DConditionModel(**config)
    finally:
        torch.set_default_dtype(before)
    return made.eval().requires_grad_(False)


sd15_unet: Callable[..., Any] = partial(unet, SD15)
sd20_unet: Callable[..., Any] = partial(unet, SD20)
UNETS: dict[str, dict[str, Any]] = {"SD 1.5": SD15, "SD 2.0": SD20, "SDXL": SDXL}


def tiny(config: dict[str, Any]) -> dict[str, Any]:
    """The same layout with a few channels and a tile of 8 latent pixels."""
    channels = tuple(8 * (1 + level) for level in range(len(config["block_out_channels"])))
    return {**config, **TINY, "block_out_channels": channels}


def inputs(unet: Any, height: int, width: int, rows: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise [rows, 4, height, width] in latent pixels, a time step [rows], and token embeddings for one call."""
    generator = torch.Generator().manual_seed(1)
    like = next(unet.parameters())
    x = torch.randn(rows, 4, height, width, generator=generator).to(like)
    tokens = torch.randn(rows, TOKENS, int(unet.config.cross_attention_dim), generator=generator).to(like)
    return x, torch.full((rows,), 500, device=like.device), tokens


def conditioning_of(unet: Any, rows: int) -> dict[str, Any]:
    """What a UNet is given beside a picture: tokens [rows, 77, C], and sizes where it is told them, as SDXL's is."""
    like = next(unet.parameters())
    given: dict[str, Any] = {"encoder_hidden_states": inputs(unet, 1, 1, rows)[2]}
    if unet.config.addition_embed_type == "text_time":
        sizes = 8.0 * unet.config.sample_size * torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0, 1.0]])
        numbers = sizes.shape[1] * int(unet.config.addition_time_embed_dim)
        pooled = int(unet.config.projection_class_embeddings_input_dim) - numbers
        given["added_cond_kwargs"] = {
            "text_embeds": torch.randn(rows, pooled).to(like),
            "time_ids": sizes.repeat(rows, 1).to(like),
        }
    return given
