"""SaFa on a diffusers pipeline: a reference view made beside the picture, rows of which are swapped into its tiles.

Dai et al. 2025, Reference-Guided Latent Swap: the view begins with noise of its own, has the same prompt and sampler,
and is not changed by the picture.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.hosts.classifier_free import guided
from lib_instantas.methods import InterleavedGrid, Method
from lib_instantas.methods.safa import ReferenceView


class ReferencedDenoiser(TiledDenoiser):
    """A tiled denoiser that asks about the reference view beside the canvas, as long as `beside` wants that."""

    beside: ReferenceSwap

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for the whole canvas."""
        if self.beside.is_guiding(self.evaluation):
            plan = self.method.plan(self.evaluation)
            seen = self.beside.seen_by_model(sigma).to(x).expand(x.shape[0], -1, -1, -1)
            self.beside.advance(self._call_model(plan, plan.tiles[:1], seen, sigma, conditioning), sigma)
        return super().__call__(x, sigma, **conditioning)


class ReferenceSwap:
    """The reference view of one run of so many evaluations, and what of it comes into the canvas after each.

    `view` is the view's latents, [1, C, h, w] of the size of a tile.
    """

    def __init__(
        self, pipeline: Any, method: InterleavedGrid, seed: int, guidance: float, steps: int, evaluations: int
    ) -> None:
        self.method = method
        self.guidance = guidance
        self.evaluations = evaluations
        self.places = Places.of(method.reference, pipeline.unet.device)
        self.scheduler = copy.deepcopy(pipeline.scheduler)
        self.scheduler.set_timesteps(steps, device=pipeline.unet.device)
        self.generator = torch.Generator("cpu").manual_seed(random.Random(f"SaFa/{seed}").getrandbits(63))
        shape = 1, int(pipeline.unet.config.in_channels), *method.reference.size
        noise = torch.randn(shape, generator=self.generator).to(pipeline.unet.device, pipeline.unet.dtype)
        self.view = noise * self.scheduler.init_noise_sigma

    def is_guiding(self, evaluation: int) -> bool:
        """Whether the view is still made at an evaluation, counted from 0."""
        return evaluation < self.method.guided * self.evaluations

    def make_denoiser(self, model: Callable[..., Tensor], method: Method, **options: Any) -> ReferencedDenoiser:
        """What the pipeline's UNet is wrapped in."""
        denoiser = ReferencedDenoiser(model, method, **options)
        denoiser.beside = self
        return denoiser

    def seen_by_model(self, timestep: Tensor) -> Tensor:
        """The view as the sampler would hand it to the model."""
        seen: Tensor = self.scheduler.scale_model_input(self.view, timestep)
        return seen

    def advance(self, prediction: Tensor, timestep: Tensor) -> None:
        """One step of the sampler, from a prediction of rows [unconditional; conditional], or of one row."""
        if prediction.shape[0] == 2:
            prediction = guided(prediction, self.guidance)
        more = {"generator": self.generator} if takes_generator(self.scheduler) else {}
        self.view = self.scheduler.step(prediction, timestep, self.view, **more, return_dict=False)[0]

    def __call__(self, latents: Tensor, step: int) -> Tensor:
        """The canvas [1, C, H, W] after `step` (from 0)."""
        return self.places.swapped(latents, self.view) if self.is_guiding(step) else latents


def takes_generator(scheduler: Any) -> bool:
    """Whether a scheduler's step draws noise from a generator that one can hand over."""
    return "generator" in scheduler.step.__code__.co_varnames


@dataclass(frozen=True)
class Places:
    """Which pixels of a canvas come from a view, [H, W], and which row [H] and column [W] of the view they are."""

    taken: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, reference: ReferenceView, device: torch.device) -> Places:
        """Made once on a device, where the sampling is."""
        rows, columns = (
            torch.tensor([-1 if at is None else at for at in axis], device=device)
            for axis in (reference.rows, reference.columns)
        )
        return cls((rows[:, None] >= 0) & (columns >= 0), rows.clamp(min=0), columns.clamp(min=0))

    def swapped(self, canvas: Tensor, view: Tensor) -> Tensor:
        """The canvas [..., H, W] with what comes from the view [..., h, w]."""
        return torch.where(self.taken, view[..., self.rows, :][..., self.columns].to(canvas.dtype), canvas)
