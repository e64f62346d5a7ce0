"""SyncDiffusion on a diffusers pipeline: before each step, every tile is pulled towards one of them.

Lee et al. 2023, algorithm 1: the gradient of a perceptual distance between the pictures that a tile and an anchor tile
promise to become, with respect to the noisy latents, moves the tile; then all tiles are stepped and averaged. A step is
linear in what it steps and in the prediction, so the average of stepped tiles is the step of the averaged tiles with
the averaged prediction: the canvas is moved by the average, and each tile is asked about as it was moved itself. Their
distance is LPIPS; here it is whatever `features` tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.fusion import assemble, cut
from lib_instantas.hosts.classifier_free import guided
from lib_instantas.hosts.keeping import scale_seen
from lib_instantas.methods import Method
from lib_instantas.tiling import Tile, TilePlan

Features = Callable[[Tensor], Tensor]
"""Pictures [B, 3, H, W] in -1..1 -> [B, F]: what is alike lies close together."""

WEIGHT, DECAY = 20.0, 0.95
"""How far a tile is moved along the gradient in the first step, and what of that is left at each further one."""


def style_statistics(pictures: Tensor) -> Tensor:
    """Mean and spread of each colour at three coarsenesses: likeness without a trained network."""
    scales = [torch.nn.functional.avg_pool2d(pictures, scale) for scale in (1, 4, 16)]
    return torch.cat([part for values in scales for part in (values.mean((-2, -1)), values.std((-2, -1)))], dim=1)


class SynchronisedDenoiser(TiledDenoiser):
    """Asks about each tile where it was moved to: `apart` is how far that is from its place on the canvas."""

    apart: Mapping[Tile, Tensor] = MappingProxyType({})

    def _call_model(
        self, plan: TilePlan, tiles: tuple[Tile, ...], x: Tensor, sigma: Tensor, conditioning: dict[str, Any]
    ) -> Tensor:
        if self.apart:
            rows = x.shape[0] // len(tiles)
            x = x + torch.cat([self.apart[tile].to(x).expand(rows, -1, -1, -1) for tile in tiles])
        return super()._call_model(plan, tiles, x, sigma, conditioning)


@dataclass
class Synchroniser:
    """Moves the canvas before a step. `model` is the UNet itself, whatever stands in its place elsewhere."""

    pipeline: Any
    model: Callable[..., Tensor]
    plan: TilePlan
    guidance: float
    features: Features = style_statistics
    weight: float = WEIGHT
    denoiser: SynchronisedDenoiser | None = None

    def make_denoiser(self, model: Callable[..., Tensor], method: Method, **options: Any) -> SynchronisedDenoiser:
        """What the pipeline's UNet is wrapped in."""
        self.denoiser = SynchronisedDenoiser(model, method, **options)
        self.denoiser.apart = self._apart
        return self.denoiser

    def __post_init__(self) -> None:
        """Nothing is moved yet."""
        self._apart: dict[Tile, Tensor] = {}

    def __call__(self, latents: Tensor, prompts: Tensor, evaluation: int) -> Tensor:
        """The canvas [1, C, H, W] as an evaluation, counted from 0, is to see it."""
        timesteps = self.pipeline.scheduler.timesteps
        self._apart.clear()
        if evaluation >= len(timesteps) or len(self.plan.tiles) == 1:
            return latents
        timestep = timesteps[evaluation]
        middle = self.plan.tiles[len(self.plan.tiles) // 2]
        anchor = self._promise(cut(latents, self.plan, middle), prompts, timestep)
        step = self.weight * DECAY**evaluation
        pulls = []
        for tile in self.plan.tiles:
            view = cut(latents, self.plan, tile)
            # The anchor is like itself: nothing pulls it.
            pull = torch.zeros_like(view) if tile is middle else self._pull(view, anchor, prompts, timestep)
            pulls.append((tile, step * pull))
        average = assemble(self.plan, pulls).to(latents)
        scale = scale_seen(self.pipeline.scheduler) if evaluation else self.pipeline.scheduler.init_noise_sigma**-1
        self._apart.update((tile, scale * (cut(average, self.plan, tile) - pull)) for tile, pull in pulls)
        return latents - average

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
            prediction = guided(prediction, self.guidance)
        alpha = scheduler.alphas_cumprod.to(view)[int(timestep)]
        if scheduler.config.prediction_type == "v_prediction":
            clean = alpha.sqrt() * scaled - (1 - alpha).sqrt() * prediction
        else:
            clean = (scaled - (1 - alpha).sqrt() * prediction) / alpha.sqrt()
        return self.features(vae.decode(clean / vae.config.scaling_factor, return_dict=False)[0])
