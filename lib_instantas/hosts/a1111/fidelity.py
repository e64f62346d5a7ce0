"""Fidelity in the WebUI: the predictions of a pass that begins with a picture are held to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lib_instantas.fidelity import Fidelity
from lib_instantas.hosts.a1111.inversion import is_inversion
from lib_instantas.hosts.a1111.parts import SamplingPass
from lib_instantas.settings import Settings

LATENT_NOISE, LATENT_NOTHING = 2, 3
"""Numbers of the host's "masked content" that put no picture where the mask is."""


@dataclass(frozen=True)
class Held:
    """Holds a model's answers. `kept` is the share of variance that is not noise, by timestep, where it predicts noise;
    None where it predicts the picture.
    """

    fidelity: Fidelity
    kept: Tensor | None

    def __call__(self, x: Tensor, sigma: Tensor, answer: Tensor, pictures: Sequence[int]) -> Tensor:
        """The answer for the canvas x [R, C, h, w], held; `pictures` says whose of the batch each row is."""
        if not self.fidelity.is_of(x):
            return answer
        if self.kept is None:
            return self.fidelity.held(answer, pictures)
        return self.fidelity.held_noise(x, answer, self.kept.index_select(0, sigma.long()), pictures)


def held_to_picture(work: SamplingPass, params: Any, kept: Tensor | None) -> Held | None:
    """What holds a pass to the latents that the host's sampler was given; None where it was given none, or is not to.

    An inversion asks which noise leads to the picture that the model would make. Where the masked part begins as noise,
    there is no picture to hold it to.
    """
    reference = getattr(params.denoiser, "init_latent", None)
    strength, side = work.settings.fidelity, work.settings.native_side(work.native)
    if not strength or reference is None or is_inversion(work.p) or _begins_without_picture(work.p):
        return None
    return Held(Fidelity(reference, strength, side, work.settings.wraps_per_axis), kept)


def why_not_held(p: Any, settings: Settings) -> str:
    """Why no picture is held to one although it was asked for, in words for the metadata; empty where it is."""
    if not settings.fidelity:
        return ""
    if _begins_without_picture(p):
        return "fidelity has no effect where the masked part is filled with latent noise or nothing"
    if hasattr(p, "init_images") or getattr(p, "enable_hr", False):
        return ""
    return "fidelity has no effect in txt2img without a second pass"


def _begins_without_picture(p: Any) -> bool:
    """Whether a masked part is filled with what is no picture."""
    fill = getattr(p, "inpainting_fill", None)
    return getattr(p, "image_mask", None) is not None and fill in (LATENT_NOISE, LATENT_NOTHING)
