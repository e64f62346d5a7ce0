"""SyncDiffusion on a diffusers pipeline: before each step, tiles are pulled towards one of them.

Lee et al. 2023: the gradient of a perceptual distance between the pictures that a tile and an anchor tile promise to
become, with respect to the noisy latents. Theirs moves each tile by its own gradient and averages the tiles; here the
averaged gradient moves the canvas, which is the same to first order. The first step is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lib_instantas.fusion import assemble, cut
from lib_instantas.tiling import TilePlan

Features = Callable[[Tensor], Tensor]
"""Pictures [B, 3, H, W] in -1..1 -> [B, F]: what is alike lies close together."""

WEIGHT, DECAY = 20.0, 0.95
"""How far a canvas is moved along the gradient in the first step, and what of that is left at each further one."""


def style_statistics(pictures: Tensor) -> Tensor:
    """Mean and spread of each colour at three coarsenesses: likeness without a trained network."""
    scales = [torch.nn.functional.avg_pool2d(pictures, scale) for scale in (1, 4, 16)]
    return torch.cat([part for values in scales for part in (values.mean((-2, -1)), values.std((-2, -1)))], dim=1)


@dataclass
class Synchroniser:
    """Moves the canvas between two steps. `model` is the UNet itself, whatever stands in its place elsewhere."""

    pipeline: Any
    model: Callable[..., Tensor]
    plan: TilePlan
    guidance: float
    features: Features = style_statistics
    weight: float = WEIGHT

    def __call__(self, latents: Tensor, prompts: Tensor, step: int) -> Tensor:
        """The canvas [1, C, H, W] as the evaluation after `step` (from 0) is to see it."""
        timesteps = self.pipeline.scheduler.timesteps
        if step + 1 >= len(timesteps) or len(self.plan.tiles) == 1:
            return latents
        timestep = timesteps[step + 1]
        middle = self.plan.tiles[len(self.plan.tiles) // 2]
        anchor = self._promise(cut(latents, self.plan, middle), prompts, timestep)
        pulls = []
        for tile in self.plan.tiles:
            view = cut(latents, self.plan, tile)
            # The anchor is like itself: nothing pulls it.
            pull = torch.zeros_like(view) if tile is middle else self._pull(view, anchor, prompts, timestep)
            pulls.append((tile, pull))
        return latents - self.weight * DECAY**step * assemble(self.plan, pulls).to(latents)

    def _pull(self, view: Tensor, anchor: Tensor, prompts: Tensor, timestep: Tensor) -> Tensor:
        with torch.enable_grad():
            view = view.detach().requires_grad_(True)
            distance = (self._promise(view, prompts, timestep) - anchor.detach()).square().mean()
            (gradient,) = torch.autograd.grad(distance, view)
        return gradient

    def _promise(self, view: Tensor, prompts: Tensor, timestep: Tensor) -> Tensor:
        """Features of the picture that a noisy tile promises to become."""
        scheduler, vae = self.pipeline.scheduler, self.pipeline.vae
        scaled = scheduler.scale_model_input(view, timestep)
        rows = torch.cat([scaled] * 2) if prompts.shape[0] == 2 else scaled
        prediction = self.model(rows, timestep, encoder_hidden_states=prompts, return_dict=False)[0]
        if prompts.shape[0] == 2:
            without, with_prompt = prediction.chunk(2)
            prediction = without + self.guidance * (with_prompt - without)
        alpha = scheduler.alphas_cumprod.to(view)[int(timestep)]
        if scheduler.config.prediction_type == "v_prediction":
            clean = alpha.sqrt() * scaled - (1 - alpha).sqrt() * prediction
        else:
            clean = (scaled - (1 - alpha).sqrt() * prediction) / alpha.sqrt()
        return self.features(vae.decode(clean / vae.config.scaling_factor, return_dict=False)[0])
