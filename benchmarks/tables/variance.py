"""GVCF's figure 3: what averaging tiles that each draw their own noise does, and what cures it.

One panorama of Small World with DDIM at eta 1 and MultiDiffusion's tiles is painted three times: noise added once on
the canvas (as the engine does), noise of each tile averaged (GVCF, eq. 11), and the same with the variance corrected
(eq. 14). Compared are the variance of the latents and `detail`, the mean step between neighbouring pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks.tables.per_tile_noise import KINDS, fused_noise
from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.hosts.staging import native_of
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings


@torch.no_grad()
def sample(pipeline: Any, prompt: str, kind: str, seed: int, steps: int, guidance: float) -> Tensor:
    """Latents [1, 4, H, W], three times as wide as high, of a run in which noise is of this kind (one of KINDS)."""
    from diffusers import DDIMScheduler

    side, device, dtype = native_of(pipeline), pipeline.unet.device, pipeline.unet.dtype
    canvas = (side, 3 * side)
    settings = parse_settings({"method": "MultiDiffusion", "overlap": 0.75})
    method = make_method(Request(canvas, side, settings))
    scheduler: Any = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(steps, device=device)
    without, with_prompt = reversed(pipeline.encode_prompt(prompt, device, 1, True))
    prompts = torch.cat([without, with_prompt])

    def model(x: Tensor, timestep: Tensor, **conditioning: Tensor) -> Tensor:
        prediction: Tensor = pipeline.unet(x, timestep, return_dict=False, **conditioning)[0]
        return prediction

    denoiser = TiledDenoiser(model, method)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 4, *canvas, generator=generator).to(device, dtype)
    for timestep in scheduler.timesteps:
        plain, prompted = denoiser(torch.cat([x, x]), timestep, encoder_hidden_states=prompts).chunk(2)
        noise = fused_noise(method.plan(0), kind, 1, 4, generator).to(x)
        guided = plain + guidance * (prompted - plain)
        x = scheduler.step(guided, timestep, x, eta=1.0, variance_noise=noise).prev_sample
    return x


@torch.no_grad()
def decoded(pipeline: Any, latents: Tensor) -> Image:
    """The picture of latents."""
    values = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    image: Image = pipeline.image_processor.postprocess(values, output_type="pil")[0]
    return image


def figures(latents: dict[str, Tensor], pictures: dict[str, Image]) -> dict[str, float]:
    """Variance and detail of each kind over those of noise added once on the canvas."""
    variance = {kind: float(value.var()) for kind, value in latents.items()}
    detail = {kind: detail_of(picture) for kind, picture in pictures.items()}
    first = KINDS[0]
    return {
        **{f"variance, {kind}": variance[kind] / variance[first] for kind in KINDS},
        **{f"detail, {kind}": detail[kind] / detail[first] for kind in KINDS},
    }


def detail_of(picture: Image) -> float:
    """Mean absolute step between neighbouring pixels, grey levels of 255."""
    values = np.asarray(picture.convert("L"), dtype=float)
    return float(np.abs(np.diff(values, axis=0)).mean() + np.abs(np.diff(values, axis=1)).mean())
