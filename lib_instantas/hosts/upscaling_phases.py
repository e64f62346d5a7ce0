"""DemoFusion on a diffusers pipeline: what a phase has of the one before it, and its paths over the whole picture.

Du et al. 2024. A phase begins with the enlarged latents of the one before it, noised to the first time step. *Skip
residual*: before each step a share c1 of the canvas is those latents, noised to that step with the same noise.
*Dilated sampling*: a share c2 of each prediction is that of pictures that are made of every n-th pixel of the canvas,
after a Gaussian blur; the rest is the tiles'. The shares, and the blur, fall from 1 with the time step t of T:
c = ((1 + cos(pi (T - t) / T)) / 2) ^ alpha. Numbers are those of the published program.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.fusion import reflect
from lib_instantas.hosts.elastic import repeated_conditioning, repeated_times
from lib_instantas.methods import Method
from lib_instantas.tiling import Size, round_up

RESIDUAL_POWER, DILATED_POWER, BLUR_POWER = 3.0, 1.0, 1.0
"""alpha of the skip residual's share, of dilated sampling's, and of the blur."""

BLUR, SHARPEST = 0.99, 0.01
"""Standard deviation of the blur in pixels: how much of it falls, and what is left at the end."""


def share(timestep: Tensor, times: int, power: float) -> Tensor:
    """c at a time step t of T, a number between 0 and 1."""
    return ((1 + torch.cos(math.pi * (times - timestep.float()) / times)) / 2) ** power


def blurred(canvas: Tensor, scale: int, deviation: Tensor) -> Tensor:
    """The canvas [B, C, H, W] through a Gaussian of 2 * scale - 1 pixels, with its own mean and spread as before."""
    reach = scale - 1
    offsets = torch.arange(-reach, reach + 1, device=canvas.device, dtype=torch.float32)
    line = torch.exp(-(offsets**2) / (2 * deviation.to(canvas.device) ** 2))
    kernel = torch.outer(line, line)
    kernel = (kernel / kernel.sum()).to(canvas.dtype).expand(canvas.shape[1], 1, -1, -1)
    smooth = F.conv2d(canvas, kernel, padding=reach, groups=canvas.shape[1])
    return (smooth - smooth.mean()) / smooth.std() * canvas.std() + canvas.mean()


class DilatedViews:
    """The pictures of every `scale`-th pixel of a canvas, each beginning at another; sides are multiples of 8.

    What a picture needs beyond the canvas is mirrored.
    """

    def __init__(self, canvas: Size, scale: int) -> None:
        self.scale = scale
        self.canvas = canvas
        self.size = round_up(math.ceil(canvas[0] / scale)), round_up(math.ceil(canvas[1] / scale))
        self.corners = [(down, right) for down in range(scale) for right in range(scale)]

    def take(self, canvas: Tensor, corner: tuple[int, int]) -> Tensor:
        """The picture [..., h, w] that begins at a corner."""
        rows, columns = (
            reflect(first + self.scale * torch.arange(count, device=canvas.device), length)
            for first, count, length in zip(corner, self.size, self.canvas, strict=True)
        )
        return canvas[..., rows, :][..., columns]

    def put(self, canvas: Tensor, corner: tuple[int, int], picture: Tensor) -> None:
        """Lay a picture back where it was taken from."""
        place = canvas[..., corner[0] :: self.scale, corner[1] :: self.scale]
        place.copy_(picture[..., : place.shape[-2], : place.shape[-1]])


class PhaseDenoiser(TiledDenoiser):
    """A tiled denoiser part of whose prediction is that of the dilated pictures."""

    phase: Phase

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for the whole canvas."""
        local = super().__call__(x, sigma, **conditioning)
        times = self.phase.times
        seen = blurred(x, self.phase.scale, SHARPEST + BLUR * share(sigma, times, BLUR_POWER))
        views = DilatedViews((int(x.shape[-2]), int(x.shape[-1])), self.phase.scale)
        whole = torch.empty_like(local)
        at_once = self._batch_size(views.size, x)
        for start in range(0, len(views.corners), at_once):
            some = views.corners[start : start + at_once]
            self.before_batch()
            pictures = torch.cat([views.take(seen, corner) for corner in some])
            times_of_rows = repeated_times(sigma, x.shape[0], len(some))
            answer = self.model(pictures, times_of_rows, **repeated_conditioning(conditioning, x.shape[0], len(some)))
            for corner, picture in zip(some, answer.chunk(len(some)), strict=True):
                views.put(whole, corner, picture)
        of_whole = share(sigma, times, DILATED_POWER).to(local.dtype)
        return (1 - of_whole) * local + of_whole * whole


class Phase:
    """One phase: `before` are the latents [1, C, h, w] of the one before it, a canvas of `scale` - 1 times its size."""

    def __init__(self, pipeline: Any, before: Tensor, canvas: Size, scale: int, seed: int, evaluations: int) -> None:
        self.pipeline = pipeline
        self.scale = scale
        self.evaluations = evaluations
        self.anchor = before.mean(), before.std()
        self.enlarged = F.interpolate(before.float(), size=canvas, mode="bicubic").to(before.dtype)
        generator = torch.Generator("cpu").manual_seed(random.Random(f"DemoFusion/{seed}/{scale}").getrandbits(63))
        self.noise = torch.randn(self.enlarged.shape, generator=generator).to(self.enlarged)

    @property
    def times(self) -> int:
        """T, of the model's training."""
        return int(self.pipeline.scheduler.config.num_train_timesteps)

    def noised(self, timestep: Tensor) -> Tensor:
        """The enlarged latents as noisy as they are at a time step."""
        noised: Tensor = self.pipeline.scheduler.add_noise(self.enlarged, self.noise, timestep.reshape(1))
        return noised

    def beginning(self, steps: int) -> Tensor:
        """What a pipeline of so many steps is to take for its noise."""
        scheduler = self.pipeline.scheduler
        scheduler.set_timesteps(steps, device=self.enlarged.device)
        return self.noised(scheduler.timesteps[0]) / scheduler.init_noise_sigma

    def make_denoiser(self, model: Callable[..., Tensor], method: Method, **options: Any) -> PhaseDenoiser:
        """What the pipeline's UNet is wrapped in."""
        denoiser = PhaseDenoiser(model, method, **options)
        denoiser.phase = self
        return denoiser

    def __call__(self, latents: Tensor, step: int) -> Tensor:
        """The canvas after `step` (from 0): with its residual, and after the last with the first phase's contrast."""
        if step + 1 >= self.evaluations:
            mean, deviation = self.anchor
            return (latents - latents.mean()) / latents.std() * deviation + mean
        timestep = self.pipeline.scheduler.timesteps[step + 1]
        residual = share(timestep, self.times, RESIDUAL_POWER).to(latents)
        return (1 - residual) * latents + residual * self.noised(timestep)
