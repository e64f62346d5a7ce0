"""AUTOMATIC1111's own samplers, from WebUI 1.8 on.

The host's CFGDenoiser asks a wrapper around the model (`inner_model`), made anew for every sampler and again when a
refiner takes over. The wrapper's `forward` is replaced on that one object, and dies with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

from modules import sd_samplers_cfg_denoiser, shared
from torch import Tensor

from lib_instantas.hosts.a1111.generation import raiser
from lib_instantas.hosts.a1111.sampling import TiledSampling


class AskedInTiles:
    """Stands in for the `forward` of one model wrapper: same signature, any canvas."""

    def __init__(self, forward: Callable[..., Tensor]) -> None:
        self.original = forward
        self._sampling: TiledSampling | None = None
        self._pictures: list[int] = []
        self._rows = self._asked = 0

    def begin(self, sampling: TiledSampling, params: Any) -> None:
        """The next evaluation begins. However the host divides its rows among calls, it keeps their order."""
        self._sampling = sampling
        self._pictures = pictures_of_rows(params) if sampling.tells_pictures_apart else []
        self._rows, self._asked = params.x.shape[0], 0

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for the whole canvas."""
        assert self._sampling is not None
        pictures, self._pictures = self._pictures[: len(x)], self._pictures[len(x) :]
        if scales := self._sampling.damped_scales:
            first, self._asked = self._asked, self._asked + len(x)
            of_rows = [*[None] * (self._rows - len(scales)), *scales][first : self._asked]
            return self._sampling.ask_damped(self.original, self.original, of_rows, pictures, x, sigma, **conditioning)
        return self._sampling.ask(self.original, pictures, x, sigma, **conditioning)


def pictures_of_rows(params: Any) -> list[int]:
    """Which picture of the batch each row of an evaluation belongs to, from the host's CFGDenoiserParams.

    The host lays out every picture's conditions (several for prompts joined by AND), one picture after another, and
    then the unconditional rows; InstructPix2Pix has two of those for a picture.
    """
    conditions = params.denoiser.sampler.sampler_extra_args["cond"].batch
    pictures = range(len(conditions))
    conditional = [picture for picture in pictures for _ in conditions[picture]]
    unconditional = (params.x.shape[0] - len(conditional)) // len(pictures)
    return [*conditional, *chain.from_iterable(repeat(pictures, unconditional))]


class WebUISamplers:
    """The six answers for hosts whose CFGDenoiser asks through `inner_model`."""

    def missing(self) -> Iterator[str]:
        """The wrapper that the model is asked through."""
        if "self.inner_model(" not in inspect.getsource(sd_samplers_cfg_denoiser.CFGDenoiser):
            yield "a sampler that asks the model through its wrapper (CFGDenoiser.inner_model)"

    def before_pass(self, p: Any, noise: Tensor) -> None:
        """Nothing to prepare: the first evaluation brings all that is needed."""

    def ask_through(self, sampling: TiledSampling, params: Any) -> None:
        """Replace `forward` of the wrapper that is in use now, once."""
        wrapper = params.denoiser.inner_model
        standing = vars(wrapper).get("forward")
        asked = standing if isinstance(standing, AskedInTiles) else AskedInTiles(wrapper.forward)
        asked.begin(sampling, params)
        wrapper.forward = asked

    def kept_by_timestep(self, params: Any) -> Tensor | None:
        """For DDIM and its like, whose wrapper answers with noise; the others' answers with the picture."""
        return getattr(params.denoiser, "alphas", None)

    def fail(self, params: Any, error: Exception) -> None:
        """The wrapper's `forward` raises."""
        params.denoiser.inner_model.forward = raiser(error)

    def let_go(self) -> None:
        """Nothing: the wrapper dies with its sampler."""

    def control_models(self) -> list[Any]:
        """None of the host's own; ControlNet's are known by its units."""
        return []

    @property
    def unet(self) -> Any:
        """Of the model that is loaded now, which may be the refiner."""
        return shared.sd_model.model.diffusion_model

    @property
    def autoencoder(self) -> Any:
        """Of the model that is loaded now."""
        return getattr(shared.sd_model, "first_stage_model", None)


FAMILY = WebUISamplers()
