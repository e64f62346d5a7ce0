"""FSTD on a diffusers pipeline: where no tile lies, a step leaves the latent as it was.

Any-Size-Diffusion, algorithm 2: the constant region of a step is sourced from the latents before it. What is kept is
the latent as the model sees it: some samplers hold theirs scaled by the noise, which the next step expects to be less.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lib_instantas.methods import Method
from lib_instantas.tiling import TilePlan


@dataclass
class LatentKeeper:
    """Puts back, after each step, what the step had no tile for."""

    pipeline: Any
    method: Method
    _before: tuple[Tensor, float] | None = field(default=None, init=False)

    def __call__(self, latents: Tensor, step: int) -> Tensor:
        """The canvas [1, C, H, W] after `step` (from 0), whose first plan leaves nothing out."""
        scale = scale_seen(self.pipeline.scheduler)
        uncovered = self.method.plan(step).uncovered
        if uncovered and self._before is not None:
            kept, scale_then = self._before
            covered = coverage(self.method.plan(step), latents.device)
            latents = torch.where(covered, latents, kept * (scale_then / scale))
        self._before = latents, scale
        return latents


def scale_seen(scheduler: Any) -> float:
    """What the model will see of a latent of 1 in the evaluation that comes next."""
    index, sigmas = getattr(scheduler, "step_index", None), getattr(scheduler, "sigmas", None)
    if index is None or sigmas is None or scheduler.init_noise_sigma == 1:
        return 1.0
    return float((sigmas[index] ** 2 + 1) ** -0.5)


def coverage(plan: TilePlan, device: torch.device) -> Tensor:
    """Where tiles of a plan without weights lie, [H, W] of true and false, made on the device."""
    covered = torch.zeros(plan.canvas, dtype=torch.bool, device=device)
    for tile in plan.tiles:
        covered[tile.y.keep.start : tile.y.keep.stop, tile.x.keep.start : tile.x.keep.stop] = True
    return torch.roll(covered, plan.shift, dims=(0, 1))
