"""UNets in the shape of real models, with random weights: good for time and memory, not for pictures."""

from __future__ import annotations

from typing import Any

import torch

NATIVE = 64
TOKENS, TOKEN_WIDTH = 77, 768


def sd15_unet(device: str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """A UNet of Stable Diffusion 1.5's shape (860 million parameters)."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    with torch.device(device):
        unet: Any = UNet2DConditionModel(
            sample_size=NATIVE,
            block_out_channels=(320, 640, 1280, 1280),
            cross_attention_dim=TOKEN_WIDTH,
            attention_head_dim=8,
        )
    return unet.to(dtype).eval().requires_grad_(False)


def inputs(unet: Any, height: int, width: int, rows: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise [rows, 4, height, width] in latent pixels, a time step [rows], and token embeddings for one call."""
    generator = torch.Generator().manual_seed(1)
    like = next(unet.parameters())
    x = torch.randn(rows, 4, height, width, generator=generator).to(like)
    tokens = torch.randn(rows, TOKENS, TOKEN_WIDTH, generator=generator).to(like)
    return x, torch.full((rows,), 500, device=like.device), tokens
