"""Stable Diffusion 1.x's noise schedule, and a plain DDIM sampler for looking at a model while it trains."""

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 1000


def betas() -> Tensor:
    """Return the "scaled linear" betas [1000] of Rombach et al. 2022 in the v1 configuration: 0.00085 to 0.012."""
    return torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2


def alphas_cumprod() -> Tensor:
    """Return the share of the signal's variance that is left at each time, [1000]."""
    return torch.cumprod(1 - betas(), 0)


def noised(x: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """Return sqrt(alpha) x + sqrt(1 - alpha) noise at times [B] (Ho et al. 2020, eq. 4)."""
    alpha = alphas_cumprod().to(x.device, x.dtype)[times][:, None, None, None]
    return alpha.sqrt() * x + (1 - alpha).sqrt() * noise


def times_of(steps: int) -> Tensor:
    """Return the times of a sampler's steps, [steps], evenly from the noisiest to the cleanest as k-diffusion has them.

    Ending at 0 matters: whatever a last, large step leaves undecided (a tile border too) stays in the picture.
    """
    return torch.linspace(STEPS - 1, 0, steps).round().long()


@torch.no_grad()
def ddim(predict: Callable[[Tensor, Tensor], Tensor], x: Tensor, steps: int = 20) -> Tensor:
    """Return the latents that `predict(x, times) -> noise` makes of pure noise (Song et al. 2021, eq. 12, eta 0)."""
    alphas = alphas_cumprod().to(x.device, x.dtype)
    times = times_of(steps)
    for index, time in enumerate(times.tolist()):
        after = alphas[times[index + 1]] if index + 1 < len(times) else alphas.new_tensor(1.0)
        noise = predict(x, torch.full((len(x),), time, device=x.device))
        clean = (x - (1 - alphas[time]).sqrt() * noise) / alphas[time].sqrt()
        x = after.sqrt() * clean + (1 - after).sqrt() * noise
    return x
