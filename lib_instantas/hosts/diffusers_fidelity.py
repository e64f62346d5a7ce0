"""Fidelity on a diffusers pipeline: the UNet's predictions are held to the latents that the pipeline begins with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from lib_instantas.fidelity import Fidelity
from lib_instantas.hosts.diffusers import Held
from lib_instantas.replacing import replaced
from lib_instantas.settings import Settings

NOISED = "add_noise"
"""What the scheduler is asked for once, with the latents of the picture, when sampling begins with one."""


class HeldToPicture:
    """For one run of an image-to-image pipeline; `pipeline` has its sampler already."""

    def __init__(self, pipeline: Any, settings: Settings) -> None:
        self._scheduler = pipeline.scheduler
        self._side = settings.native_side(int(pipeline.unet.config.sample_size))
        self._settings = settings
        self._fidelity: Fidelity | None = None
        self._kept: Tensor | None = None

    @contextmanager
    def taking(self) -> Iterator[Held]:
        """Inside, the picture that the run begins with is taken for the reference."""
        original = self._scheduler.add_noise

        def add_noise(latents: Tensor, *args: Any, **kwargs: Any) -> Any:
            closed = self._settings.wraps_per_axis
            self._fidelity = Fidelity(latents, self._settings.fidelity, self._side, closed)
            self._kept = self._scheduler.alphas_cumprod.to(latents.device)
            return original(latents, *args, **kwargs)

        with replaced(self._scheduler, NOISED, add_noise):
            yield self._held

    def _held(self, canvas: Tensor, timestep: Tensor, prediction: Tensor) -> Tensor:
        assert self._fidelity is not None
        assert self._kept is not None
        kept = self._kept.index_select(0, timestep.long().reshape(-1))
        predicts_velocity = self._scheduler.config.prediction_type == "v_prediction"
        hold = self._fidelity.held_velocity if predicts_velocity else self._fidelity.held_noise
        return hold(canvas, prediction, kept, [0] * len(canvas))
