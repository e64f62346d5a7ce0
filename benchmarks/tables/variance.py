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
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings

GUIDANCE, CANVAS = 5.0, (32, 96)


@torch.no_grad()
def sample(pipeline: Any, prompt: str, kind: str, seed: int, steps: int, overlap: float = 0.75) -> Tensor:
    """Latents [1, 4, H, W] of a run in which noise is of this kind (one of KINDS)."""
    from diffusers import DDIMScheduler

    settings = parse_settings({"method": "MultiDiffusion", "overlap": overlap})
    method = make_method(Request(CANVAS, int(pipeline.unet.config.sample_size), settings))
    scheduler: Any = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(steps)
    without, with_prompt = reversed(pipeline.encode_prompt(prompt, "cpu", 1, True))
    prompts = torch.cat([without, with_prompt])

    def model(x: Tensor, timestep: Tensor, **conditioning: Tensor) -> Tensor:
        prediction: Tensor = pipeline.unet(x, timestep, return_dict=False, **conditioning)[0]
        return prediction

    denoiser = TiledDenoiser(model, method)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 4, *CANVAS, generator=generator)
    for timestep in scheduler.timesteps:
        plain, prompted = denoiser(torch.cat([x, x]), timestep, encoder_hidden_states=prompts).chunk(2)
        noise = fused_noise(method.plan(0), kind, 1, 4, generator)
        guided = plain + GUIDANCE * (prompted - plain)
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
