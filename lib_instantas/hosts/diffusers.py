"""The engine on a diffusers pipeline: any pipeline whose UNet takes (sample, timestep, ...)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import Part, TiledDenoiser
from lib_instantas.methods import Method, Redilated, Request, make_method
from lib_instantas.noise_damping import damped
from lib_instantas.redilation import Redilation, levels_of
from lib_instantas.settings import Settings
from lib_instantas.sharing import ALONE, Sharing
from lib_instantas.told_size import ToldSize


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
    sharing: Sharing = ALONE,
) -> Iterator[None]:
    """While open, the UNet answers for a canvas of any size; every call is one evaluation of the sampler.

    The sampler is expected to ask `steps` times, `per_step` times in each of its own steps.
    The native tile side is the UNet's `config.sample_size`. On leaving, the UNet is as it was. `guidance` is the
    pipeline's scale: above 1, the first half of the rows is without the prompt. `make_denoiser` is called as
    TiledDenoiser is, for a method that needs more than its plans. `sharing` divides the tiles among processes.
    """
    before = vars(unet).get("forward")
    forward = unet.forward
    request = Request((0, 0), int(unet.config.sample_size), settings, seed, steps, per_step, levels_of(unet))
    denoiser: TiledDenoiser | None = None
    redilation: Redilation | None = None

    def model(x: Tensor, timestep: Tensor, **conditioning: Any) -> Tensor:
        return forward(x, timestep, **conditioning, return_dict=False)[0]

    def tiled_forward(sample: Tensor, timestep: Any, *args: Any, **conditioning: Any) -> Any:
        nonlocal denoiser, redilation, request
        canvas = (int(sample.shape[-2]), int(sample.shape[-1]))
        if denoiser is None or request.canvas != canvas:
            request = replace(request, canvas=canvas)
            method = make_method(request)
            redilation = _redilation(unet, method, guidance)
            dilated = [] if redilation is None else [redilation]
            denoiser = make_denoiser(
                model,
                method,
                tile_batch=settings.tile_batch,
                parts=(*parts, *dilated),
                before_batch=before_batch,
                tell=ToldSize(settings.told_size),
                sharing=sharing,
            )
        as_output = conditioning.pop("return_dict", True)
        if args:
            conditioning["encoder_hidden_states"] = args[0]
        time = torch.as_tensor(timestep, device=sample.device)
        if redilation is not None and redilation.damps(denoiser.evaluation):
            half = len(sample) // 2
            prediction = damped(denoiser, redilation, [*[guidance] * half, *[None] * half], sample, time, conditioning)
        else:
            prediction = denoiser(sample, time, **conditioning)
        denoiser.next_evaluation()
        return _Output(prediction) if as_output else (prediction,)

    unet.forward = tiled_forward
    try:
        yield
    finally:
        if before is None:
            del unet.forward
        else:
            unet.forward = before


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
