"""ElasticDiffusion on a diffusers pipeline: local content from tiles, the prompt's pull from small pictures.

Haji-Ali, Balakrishnan and Ordonez 2024: the prediction without the prompt carries local detail and may be made in
tiles; the difference that the prompt makes carries the composition and is made at the size that the model knows, from
canvases thinned to it. Each takes one latent pixel of every block, and each pixel that was taken gets the difference
that was found with it: the small picture is resampled until most have been. Between two steps the
canvas goes back to be stepped again with less guidance, and is drawn towards what the small picture promises to become
(reduced-resolution guidance). Numbers are those of the paper's published program.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser, map_tensors
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.classifier_free import guided
from lib_instantas.hosts.keeping import scale_seen
from lib_instantas.methods import Method
from lib_instantas.noise import diffused
from lib_instantas.tiling import GRANULARITY, LATENT_SCALE, Size, round_up

RESAMPLINGS = 20
RENEWED = 0.3
"""How often the small picture is resampled in an evaluation, and the share of its pixels that is another each time."""

AT_ONCE = 7
"""Small pictures in one call of the model."""

REPEATED = 3
"""How many times weaker the guidance of the repeated step is."""

GUIDANCE, COSINE_POWER, GUIDED = 1000.0, 3.0, 0.8
"""Weight of reduced-resolution guidance in the first step, how it falls, and the share of the steps that have it."""


class ElasticDenoiser(TiledDenoiser):
    """A tiled denoiser for rows [unconditional; conditional] that takes the prompt's pull from thinned canvases.

    `side` is the native side in latent pixels; `surroundings(timestep, shape)` makes the noisy latents of a plain
    background, which fill the native square around the small picture of a canvas that is not square.
    """

    def __init__(
        self,
        model: Callable[..., Tensor],
        method: Method,
        *,
        side: int,
        generator: torch.Generator,
        surroundings: Callable[[Tensor, torch.Size], Tensor],
        resamplings: int = RESAMPLINGS,
        **options: Any,
    ) -> None:
        super().__init__(model, method, **options)
        self.side = side
        self.surroundings = surroundings
        self.resamplings = resamplings
        self.generator = generator
        self.asked: Asked | None = None

    def ask_again(self, x: Tensor, before: Asked) -> Asked:
        """The same question about another canvas [half, C, H, W], without resampling."""
        resamplings, self.resamplings = self.resamplings, 0
        try:
            self(torch.cat([x, x]).to(before.x.dtype), before.timestep, **before.conditioning)
        finally:
            self.resamplings = resamplings
        assert self.asked is not None
        return self.asked

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for the whole canvas. Raises SettingsError where there is no unconditional half."""
        half, odd = divmod(x.shape[0], 2)
        if odd or not torch.equal(x[:half], x[half:]):
            raise SettingsError("guidance must be above 1 for ElasticDiffusion, which works on what the prompt changes")

        def unconditional(value: Tensor) -> Tensor:
            return value[:half] if value.ndim and value.shape[0] == x.shape[0] else value

        local = super().__call__(x[:half], unconditional(sigma), **map_tensors(unconditional, conditioning))
        change, small = self._change(x, sigma, conditioning)
        prediction = torch.cat([local, local + change])
        self.asked = Asked(x[:half], sigma, conditioning, prediction, small)
        return prediction

    def _change(self, x: Tensor, sigma: Tensor, conditioning: dict[str, Any]) -> tuple[Tensor, Small]:
        """What the prompt changes, [half, C, H, W], found at the native size, and what it was last found with."""
        rows, half = x.shape[0], x.shape[0] // 2
        canvas = int(x.shape[-2]), int(x.shape[-1])
        height, width = size = thinned_size(canvas, self.side)
        top, left = (self.side - height) // 2, (self.side - width) // 2
        inside = (..., slice(top, top + height), slice(left, left + width))
        background = self.surroundings(sigma, torch.Size((1, x.shape[1], self.side, self.side)))
        blocks = Blocks(canvas, size, self.generator)
        picks = [blocks.picks(0.0 if again == 0 else RENEWED) for again in range(self.resamplings + 1)]
        found = x.new_zeros(half, x.shape[1], canvas[0] * canvas[1])
        filled = torch.zeros(canvas[0] * canvas[1], dtype=torch.bool)
        without = change = found
        for start in range(0, len(picks), AT_ONCE):
            some = picks[start : start + AT_ONCE]
            squares = background.repeat(rows * len(some), 1, 1, 1)
            squares[inside] = torch.cat([x.flatten(-2)[..., pick.to(x.device)].unflatten(-1, size) for pick in some])
            answer = self.model(
                squares,
                repeated_times(sigma, rows, len(some)),
                **repeated_conditioning(conditioning, rows, len(some)),
            )
            for pick, one in zip(some, answer[inside].chunk(len(some)), strict=True):
                without, with_prompt = one.chunk(2)
                change = (with_prompt - without).flatten(-2)
                found[..., pick.to(x.device)] = change.to(found.dtype)
                filled[pick] = True
        nearest = change[..., blocks.of_pixel.to(x.device)].to(found.dtype)
        found = torch.where(filled.to(x.device), found, nearest)
        latent = x[:half].flatten(-2)[..., picks[-1].to(x.device)].unflatten(-1, size)
        small = Small(latent, without, found[..., blocks.first.to(x.device)].unflatten(-1, size))
        return found.unflatten(-1, canvas), small


@dataclass(frozen=True)
class Small:
    """A small picture's latents, its prediction without the prompt, and the prompt's change, each [half, C, h, w]."""

    latent: Tensor
    without: Tensor
    change: Tensor


class Blocks:
    """The latent pixels of a canvas, shared out among those of a small one.

    A block begins with its first pixel, in every evaluation the same, and is gone through at random from there.
    """

    def __init__(self, canvas: Size, small: Size, generator: torch.Generator) -> None:
        rows, columns = (
            torch.div(torch.arange(length) * count, length, rounding_mode="floor")
            for length, count in zip(canvas, small, strict=True)
        )
        self.generator = generator
        self.of_pixel = (rows[:, None] * small[1] + columns).flatten()
        """The block of each pixel of the canvas, [H*W]."""
        self._counts = torch.bincount(self.of_pixel, minlength=small[0] * small[1])
        self._starts = torch.cumsum(self._counts, 0) - self._counts
        self._turn = torch.zeros_like(self._counts)
        self.first = torch.argsort(self.of_pixel, stable=True)[self._starts]
        """The first pixel of each block, [h*w]."""
        keys = 0.5 + 0.5 * torch.rand(len(self.of_pixel), generator=generator, dtype=torch.float64)
        keys[self.first] = 0.0
        self._order = torch.argsort(self.of_pixel + keys)

    def picks(self, renewed: float) -> Tensor:
        """One pixel of each block, [h*w]; a share of the blocks go on to the next that was not taken yet."""
        goes_on = torch.rand(len(self._turn), generator=self.generator) < renewed
        self._turn = (self._turn + goes_on) % self._counts
        return self._order[self._starts + self._turn]


def repeated_times(sigma: Tensor, rows: int, count: int) -> Tensor:
    """One time, or the times of so many rows, for as many pictures of those rows."""
    return sigma.repeat(count) if sigma.ndim and sigma.shape[0] == rows else sigma


def repeated_conditioning(conditioning: dict[str, Any], rows: int, count: int) -> dict[str, Any]:
    """The conditioning of so many rows for as many pictures of those rows."""

    def repeated(value: Tensor) -> Tensor:
        return value.repeat(count, *[1] * (value.ndim - 1)) if value.ndim and value.shape[0] == rows else value

    repeats: dict[str, Any] = map_tensors(repeated, conditioning)
    return repeats


def thinned_size(canvas: Size, side: int) -> Size:
    """The canvas in its own proportions within the native square, sides multiples of 8 latent pixels."""
    height, width = (min(side, round_up(length * side / max(canvas), GRANULARITY)) for length in canvas)
    return height, width


@dataclass(frozen=True)
class Asked:
    """An answer of the denoiser, rows [unconditional; conditional], and what it was asked."""

    x: Tensor
    timestep: Tensor
    conditioning: dict[str, Any]
    prediction: Tensor
    small: Small


class Elastic:
    """ElasticDiffusion for one run of so many steps: makes its denoiser, and makes each step but the last once more.

    The first time decides what is where. Then noise is added again, and the step repeated with a third of the guidance
    and without resampling; what it leads to is drawn towards what the small picture promises.
    """

    def __init__(self, pipeline: Any, seed: int, guidance: float, steps: int) -> None:
        self.pipeline = pipeline
        self.guidance = guidance
        self.steps = steps
        self.generator = torch.Generator("cpu").manual_seed(seed)
        self._denoiser: ElasticDenoiser | None = None

    def make_denoiser(self, model: Callable[..., Tensor], method: Method, **options: Any) -> ElasticDenoiser:
        """What the pipeline's UNet is wrapped in."""
        side = int(self.pipeline.unet.config.sample_size)
        self._denoiser = ElasticDenoiser(
            model, method, side=side, generator=self.generator, surroundings=_Background(self.pipeline, self.generator),
            **options,
        )  # fmt: skip
        return self._denoiser

    def __call__(self, latents: Tensor, step: int) -> Tensor:
        """The canvas [1, C, H, W] after `step` (from 0)."""
        denoiser = self._denoiser
        if denoiser is None or denoiser.asked is None or step + 1 >= self.steps:
            return latents
        scale = scale_seen(self.pipeline.scheduler)
        asked, timesteps = denoiser.asked, self.pipeline.scheduler.timesteps
        signal = self._signal(asked.timestep)
        signal_after = self._signal(timesteps[list(map(float, timesteps)).index(float(asked.timestep)) + 1])
        if signal_after <= signal:  # in the middle of a step of a sampler that asks twice
            return latents
        noise = torch.randn(latents.shape, generator=self.generator).to(latents)
        left = signal / signal_after
        again = left**0.5 * scale * latents + (1 - left) ** 0.5 * noise
        with torch.no_grad():
            asked = denoiser.ask_again(again, asked)
        guidance = self.guidance / REPEATED
        clean, noise = self._split(again, guided(asked.prediction, guidance), signal)
        pull = self._pull(asked, clean, signal, guidance, guidance_weight(step, self.steps))
        after = signal_after**0.5 * clean + (1 - signal_after) ** 0.5 * noise + pull
        return (after / scale).to(latents.dtype)

    def _pull(self, asked: Asked, clean: Tensor, signal: float, guidance: float, weight: float) -> Tensor:
        """The gradient of the mean square of what separates the canvas from the small picture, both clean."""
        small = asked.small
        reference, _ = self._split(small.latent, small.without + guidance * small.change, signal)
        reference = torch.nn.functional.interpolate(reference, size=clean.shape[-2:], mode="nearest")
        return 2 * weight / clean.numel() * (reference - clean)

    def _signal(self, timestep: Tensor) -> float:
        return float(self.pipeline.scheduler.alphas_cumprod[int(timestep)])

    def _split(self, seen: Tensor, prediction: Tensor, signal: float) -> tuple[Tensor, Tensor]:
        """The clean picture and the noise in what the model saw."""
        if self.pipeline.scheduler.config.prediction_type == "v_prediction":
            noise = signal**0.5 * prediction + (1 - signal) ** 0.5 * seen
            return signal**0.5 * seen - (1 - signal) ** 0.5 * prediction, noise
        return (seen - (1 - signal) ** 0.5 * prediction) / signal**0.5, prediction


def guidance_weight(step: int, steps: int) -> float:
    """The weight of reduced-resolution guidance after a step, counted from 0."""
    guided = steps - int(steps * (1 - GUIDED))
    if step >= guided:
        return 0.0
    weight = GUIDANCE * (0.5 * (1 + math.cos(math.pi * step / guided))) ** COSINE_POWER
    return weight if weight > 0.01 * GUIDANCE else 0.0


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
