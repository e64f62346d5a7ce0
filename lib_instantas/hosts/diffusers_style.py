"""Style alignment for a diffusers pipeline: the noise that it is to begin with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lib_instantas.methods import Request
from lib_instantas.noise import diffused, reference_noise, style_alignment
from lib_instantas.style_reference import parse_reference, picture_values
from lib_instantas.tiling import LATENT_SCALE, Size


def aligned_noise(pipeline: Any, request: Request, generator: torch.Generator) -> Tensor | None:
    """The noise [1, C, H, W] that the pipeline would draw from `generator`, aligned; None where there is nothing to do.

    Only if noise is returned has the generator moved on, just as far as the pipeline would have moved it.
    """
    alignment = style_alignment(request)
    if alignment is None:
        return None
    from diffusers.utils.torch_utils import randn_tensor

    channels = int(pipeline.unet.config.in_channels)
    shape = (1, channels, *request.canvas)
    noise = randn_tensor(shape, generator=generator, device=pipeline.unet.device, dtype=pipeline.text_encoder.dtype)
    return alignment(noise, _reference(pipeline, request, channels, alignment.tile))


def _reference(pipeline: Any, request: Request, channels: int, tile: Size) -> Tensor:
    wanted = parse_reference(request.settings.style_reference)
    noise = reference_noise(request.seed if wanted.seed is None else wanted.seed, channels, tile)
    if wanted.picture is None:
        return noise
    height, width = (side * LATENT_SCALE for side in tile)
    vae = pipeline.vae
    with torch.no_grad():
        values = picture_values(wanted.picture, (height, width)).to(vae.device, vae.dtype)
        latents = vae.encode(values).latent_dist.mean * vae.config.scaling_factor
    return diffused(latents, noise, float(pipeline.scheduler.alphas_cumprod[-1]))
