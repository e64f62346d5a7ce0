"""The engine on a diffusers pipeline: any pipeline whose UNet takes (sample, timestep, ...)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import Part, TiledDenoiser
from lib_instantas.merged_attention import MergedAttention
from lib_instantas.methods import MergedGrid, Method, Redilated, Request, make_method
from lib_instantas.noise_damping import damped
from lib_instantas.processes import ALONE, Processes
from lib_instantas.redilation import Redilation, levels_of
from lib_instantas.replacing import replaced
from lib_instantas.settings import Settings
from lib_instantas.tiling import Size
from lib_instantas.told_size import ToldSize

Held = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Makes of a noisy canvas, its time step and the prediction for it another prediction."""


def as_predicted(canvas: Tensor, timestep: Tensor, prediction: Tensor) -> Tensor:
    """The prediction itself."""
    return prediction


@contextmanager
def tiled_unet(
    unet: Any,
    settings: Settings,
    *,
    seed: int = 0,
    steps: int = 20,
    per_step: int = 1,
    guidance: float = 1.0,
    parts: Sequence[Part] = (),
    before_batch: Callable[[], None] = lambda: None,
    make_denoiser: Callable[..., TiledDenoiser] = TiledDenoiser,
    processes: Processes = ALONE,
    held: Held = as_predicted,
) -> Iterator[None]:
    """While open, the UNet answers for a canvas of any size; every call is one evaluation of the sampler.

    The sampler is expected to ask `steps` times, `per_step` times in each of its own steps.
    The native tile side is the UNet's `config.sample_size`. On leaving, the UNet is as it was. `guidance` is the
    pipeline's scale: above 1, the first half of the rows is without the prompt. `make_denoiser` is called as
    TiledDenoiser is, for a method that needs more than its plans. `processes` divide the tiles among them. What the
    UNet answers for the canvas is then `held`.
    """
    request = Request((0, 0), int(unet.config.sample_size), settings, seed, steps, per_step, levels_of(unet))
    make = partial(
        make_denoiser,
        tile_batch=settings.tile_batch,
        before_batch=before_batch,
        tell=ToldSize(settings.told_size),
        processes=processes,
    )
    with replaced(unet, "forward", _Tiled(unet, request, guidance, parts, make, held).forward):
        yield


class _Tiled:
    """A UNet's answer for a canvas of any size; what it takes is made anew when another canvas comes."""

    def __init__(
        self,
        unet: Any,
        request: Request,
        guidance: float,
        parts: Sequence[Part],
        make_denoiser: Callable[..., TiledDenoiser],
        held: Held,
    ) -> None:
        self.unet = unet
        self.of_unet = unet.forward
        self.request = request
        self.guidance = guidance
        self.parts = parts
        self.make_denoiser = make_denoiser
        self.held = held
        self.denoiser: TiledDenoiser | None = None
        self.redilation: Redilation | None = None

    def forward(self, sample: Tensor, timestep: Any, *args: Any, **conditioning: Any) -> Any:
        """In the UNet's place: one evaluation of the sampler."""
        denoiser = self._denoiser_for((int(sample.shape[-2]), int(sample.shape[-1])))
        as_output = conditioning.pop("return_dict", True)
        if args:
            conditioning["encoder_hidden_states"] = args[0]
        time = torch.as_tensor(timestep, device=sample.device)
        prediction = self.held(sample, time, self._predicted(denoiser, sample, time, conditioning))
        denoiser.next_evaluation()
        return _Output(prediction) if as_output else (prediction,)

    def _denoiser_for(self, canvas: Size) -> TiledDenoiser:
        if self.denoiser is None or self.request.canvas != canvas:
            self.request = replace(self.request, canvas=canvas)
            method = make_method(self.request)
            self.redilation = _redilation(self.unet, method, self.guidance)
            dilated = [] if self.redilation is None else [self.redilation]
            merged = [MergedAttention([self.unet], method.until)] if isinstance(method, MergedGrid) else []
            self.denoiser = self.make_denoiser(self._model, method, parts=(*self.parts, *dilated, *merged))
        return self.denoiser

    def _model(self, x: Tensor, timestep: Tensor, **conditioning: Any) -> Tensor:
        return self.of_unet(x, timestep, **conditioning, return_dict=False)[0]

    def _predicted(self, denoiser: TiledDenoiser, sample: Tensor, time: Tensor, conditioning: dict[str, Any]) -> Tensor:
        if self.redilation is None or not self.redilation.damps(denoiser.evaluation):
            return denoiser(sample, time, **conditioning)
        half = len(sample) // 2
        rows = [*[self.guidance] * half, *[None] * half]
        return damped(denoiser, self.redilation, rows, sample, time, conditioning)


def _redilation(unet: Any, method: Method, guidance: float) -> Redilation | None:
    """Without guidance there is nothing that takes the noise away, and the levels that leave it stay as trained."""
    if not isinstance(method, Redilated):
        return None
    redilation = Redilation(unet, method.dilation)
    redilation.denoises = guidance <= 1
    return redilation


class _Output:
    """What a UNet returns when it is asked for an object: the prediction as `.sample`."""

    def __init__(self, sample: Tensor) -> None:
        self.sample = sample
