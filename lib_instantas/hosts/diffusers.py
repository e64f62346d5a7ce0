"""The engine on a diffusers pipeline: any pipeline whose UNet takes (sample, timestep, ...)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import Around, TiledDenoiser
from lib_instantas.methods import Redilated, Request, make_method
from lib_instantas.redilation import Redilation
from lib_instantas.settings import Settings
from lib_instantas.told_size import ToldSize


@contextmanager
def tiled_unet(
    unet: Any,
    settings: Settings,
    *,
    seed: int = 0,
    steps: int = 20,
    per_step: int = 1,
    around: Sequence[Around] = (),
    before_batch: Callable[[], None] = lambda: None,
    make_denoiser: Callable[..., TiledDenoiser] = TiledDenoiser,
) -> Iterator[None]:
    """While open, the UNet answers for a canvas of any size; every call is one evaluation of the sampler.

    The sampler is expected to ask `steps` times, `per_step` times in each of its own steps.
    The native tile side is the UNet's `config.sample_size`. On leaving, the UNet is as it was. `make_denoiser` is
    called as TiledDenoiser is, for a method that needs more than its plans.
    """
    before = vars(unet).get("forward")
    forward = unet.forward
    request = Request((0, 0), int(unet.config.sample_size), settings, seed, steps, per_step)
    denoiser: TiledDenoiser | None = None

    def model(x: Tensor, timestep: Tensor, **conditioning: Any) -> Tensor:
        return forward(x, timestep, **conditioning, return_dict=False)[0]

    def tiled_forward(sample: Tensor, timestep: Any, *args: Any, **conditioning: Any) -> Any:
        nonlocal denoiser, request
        canvas = (int(sample.shape[-2]), int(sample.shape[-1]))
        if denoiser is None or request.canvas != canvas:
            request = replace(request, canvas=canvas)
            method = make_method(request)
            dilated = [Redilation(unet, method.dilation)] if isinstance(method, Redilated) else []
            denoiser = make_denoiser(
                model,
                method,
                tile_batch=settings.tile_batch,
                around=(*around, *dilated),
                before_batch=before_batch,
                tell=ToldSize(settings.told_size),
            )
        as_output = conditioning.pop("return_dict", True)
        if args:
            conditioning["encoder_hidden_states"] = args[0]
        prediction = denoiser(sample, torch.as_tensor(timestep, device=sample.device), **conditioning)
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


class _Output:
    """What a UNet returns when it is asked for an object: the prediction as `.sample`."""

    def __init__(self, sample: Tensor) -> None:
        self.sample = sample
