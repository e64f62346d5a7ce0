"""ElasticDiffusion on a diffusers pipeline: local content from tiles, the prompt's pull from one small picture.

Haji-Ali, Balakrishnan and Ordonez 2024: the unconditional prediction carries local detail and may be made in tiles;
the difference that the prompt makes carries the composition and is made at the size that the model knows, from a
canvas thinned to it. Their reduced-resolution guidance and repeated resampling are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser, map_tensors
from lib_instantas.errors import SettingsError
from lib_instantas.methods import Method
from lib_instantas.noise import diffused
from lib_instantas.tiling import GRANULARITY, LATENT_SCALE, Size, round_up


class ElasticDenoiser(TiledDenoiser):
    """A tiled denoiser for rows [unconditional; conditional] that takes the prompt's pull from a thinned canvas.

    `side` is the native side in latent pixels; `surroundings(timestep, shape)` makes the noisy latents of a plain
    background, which fill the native square around the small picture of a canvas that is not square.
    """

    def __init__(
        self,
        model: Callable[..., Tensor],
        method: Method,
        *,
        side: int,
        seed: int,
        surroundings: Callable[[Tensor, torch.Size], Tensor],
        **options: Any,
    ) -> None:
        super().__init__(model, method, **options)
        self.side = side
        self.surroundings = surroundings
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for the whole canvas. Raises SettingsError where there is no unconditional half."""
        half, odd = divmod(x.shape[0], 2)
        if odd or not torch.equal(x[:half], x[half:]):
            raise SettingsError("guidance must be above 1 for ElasticDiffusion, which works on what the prompt changes")

        def unconditional(value: Tensor) -> Tensor:
            return value[:half] if value.ndim and value.shape[0] == x.shape[0] else value

        local = super().__call__(x[:half], unconditional(sigma), **map_tensors(unconditional, conditioning))
        return torch.cat([local, local + self._direction(x, sigma, conditioning)])

    def _direction(self, x: Tensor, sigma: Tensor, conditioning: dict[str, Any]) -> Tensor:
        """What the prompt changes, [half, C, H, W], found at the native size."""
        height, width = small = thinned_size((int(x.shape[-2]), int(x.shape[-1])), self.side)
        rows, columns = (self._picks(length, to) for length, to in zip(x.shape[-2:], small, strict=True))
        square = self.surroundings(sigma, torch.Size((1, x.shape[1], self.side, self.side))).repeat(x.shape[0], 1, 1, 1)
        top, left = (self.side - height) // 2, (self.side - width) // 2
        inside = (..., slice(top, top + height), slice(left, left + width))
        square[inside] = x[..., rows, :][..., columns]
        without, with_prompt = self.model(square, sigma, **conditioning)[inside].chunk(2)
        return torch.nn.functional.interpolate(with_prompt - without, size=x.shape[-2:], mode="nearest")

    def _picks(self, length: int, count: int) -> Tensor:
        """One position of each of `count` equal stretches of an axis, drawn anew each time: noise stays noise."""
        draws = torch.rand(count, generator=self.generator)
        return ((torch.arange(count) + draws) * length / count).long().clamp(max=length - 1)


def thinned_size(canvas: Size, side: int) -> Size:
    """The canvas in its own proportions within the native square, sides multiples of 8 latent pixels."""
    height, width = (min(side, round_up(length * side / max(canvas), GRANULARITY)) for length in canvas)
    return height, width


def denoiser_for(pipeline: Any, method: str, seed: int) -> Callable[..., TiledDenoiser]:
    """What a pipeline's UNet is wrapped in for a method: ElasticDiffusion has a denoiser of its own."""
    if method != "ElasticDiffusion":
        return TiledDenoiser
    background = _Background(pipeline, torch.Generator("cpu").manual_seed(seed))
    return partial(ElasticDenoiser, side=int(pipeline.unet.config.sample_size), seed=seed, surroundings=background)


class _Background:
    """A grey picture's latents, as noisy as the canvas is at a time step, scaled as UNets take them."""

    def __init__(self, pipeline: Any, generator: torch.Generator) -> None:
        self.pipeline = pipeline
        self.generator = generator
        self.clean: Tensor | None = None

    def __call__(self, timestep: Tensor, shape: torch.Size) -> Tensor:
        vae = self.pipeline.vae
        if self.clean is None or self.clean.shape != shape:
            grey = torch.zeros(1, 3, *(side * LATENT_SCALE for side in shape[-2:]), device=vae.device, dtype=vae.dtype)
            with torch.no_grad():
                self.clean = vae.encode(grey).latent_dist.mean * vae.config.scaling_factor
        signal = float(self.pipeline.scheduler.alphas_cumprod[int(timestep)])
        return diffused(self.clean, torch.randn(shape, generator=self.generator).to(self.clean), signal)
