"""Noise inversion: in img2img, the noise from which sampling leads back to the given picture.

The sampling equation is followed the other way, from the picture up to the noise level at which img2img begins, by
Euler's method and through the same tiles; what is reached, less the picture, is noise that fits it. The host's sampler
then begins from that instead of from noise that knows nothing of the picture, and keeps more of what it shows. (DDIM
inversion: Song et al., "Denoising Diffusion Implicit Models", section 5.4; for tiles Tiled Diffusion has it.)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from modules import sd_samplers, sd_samplers_common, shared
from torch import Tensor

from lib_instantas.hosts.a1111.samplers import family
from lib_instantas.replacing import replaced
from lib_instantas.settings import Settings

INVERTS = "instantas_inverts"
"""Of the copy of a processing object that an inversion samples with."""

SAMPLE = "sample_img2img"
GUIDANCE = 1.0
"""Higher scales lead away from the picture, since the way back is another one."""

Sampler = Callable[..., Tensor]


def why_not_inverted(p: Any, settings: Settings) -> str:
    """Why no noise is inverted although it was asked for, in words for the metadata; empty where it is."""
    if not settings.inverts_noise:
        return ""
    if not hasattr(p, "init_images"):
        return "noise_inversion has no effect in txt2img, where no picture is given"
    if not hasattr(sd_samplers_common, "setup_img2img_steps"):
        return "noise_inversion has no effect on this host, whose samplers cannot be asked for their noise levels"
    return ""


def is_inversion(p: Any) -> bool:
    """Whether a processing object is the copy that an inversion samples with."""
    return bool(getattr(p, INVERTS, False))


@contextmanager
def inverting(p: Any, settings: Settings) -> Iterator[None]:
    """Inside, the sampler of `p` begins img2img from inverted noise; it belongs to this one generation."""
    sampler = getattr(p, "sampler", None)
    if not settings.inverts_noise or why_not_inverted(p, settings) or sampler is None:
        yield
        return
    inverts = _from_inverted_noise(sampler, getattr(sampler, SAMPLE), settings.noise_inversion)
    with replaced(sampler, SAMPLE, inverts):
        yield


def _from_inverted_noise(sampler: Any, sample: Sampler, evaluations: int) -> Sampler:
    def sample_img2img(
        p: Any, x: Tensor, noise: Tensor, conditioning: Any, unconditional_conditioning: Any, *args: Any, **kwargs: Any
    ) -> Tensor:
        conditions = (conditioning, unconditional_conditioning)
        image = kwargs.get("image_conditioning")
        if not (shared.state.interrupted or shared.state.skipped):
            level = first_level(sampler, p, args[0] if args else kwargs.get("steps"))
            noise = inverted(p, x, noise, conditions, image, level, evaluations)
        return sample(p, x, noise, *conditions, *args, **kwargs)

    return sample_img2img


def first_level(sampler: Any, p: Any, steps: int | None) -> float:
    """The noise level (sigma of a picture of variance 1, kept as it is) at which img2img with this sampler begins."""
    aside = _aside(p)
    count, last = sd_samplers_common.setup_img2img_steps(aside, steps)
    if hasattr(sampler, "get_sigmas"):
        return float(sampler.get_sigmas(aside, count)[count - last - 1])
    kept = shared.sd_model.alphas_cumprod[sampler.get_timesteps(aside, count)[last]]
    return float(((1 - kept) / kept).sqrt())


def inverted(
    p: Any, x: Tensor, noise: Tensor, conditions: tuple[Any, Any], image: Any, level: float, evaluations: int
) -> Tensor:
    """The noise [B, C, H, W] that leads back to the latents x, from so many evaluations up to the noise level."""
    sampler = sd_samplers.create_sampler("Euler", p.sd_model)
    sampler.func, sampler.extra_params = euler, []
    levels: dict[str, Tensor] = {}

    def rising(steps: int) -> Tensor:
        levels["all"] = rising_levels(_least(sampler), level, steps)
        return levels["all"]

    aside = _aside(
        p,
        cfg_scale=GUIDANCE,
        denoising_strength=1.0,
        sampler_noise_scheduler_override=rising,
        mask=None,
        nmask=None,
        eta=0.0,
        **{INVERTS: True},
    )
    nothing = torch.zeros_like(noise)
    try:
        noisy = sampler.sample_img2img(aside, x, nothing, *conditions, steps=evaluations, image_conditioning=image)
    finally:
        family().let_go()
    if shared.state.interrupted or shared.state.skipped:
        return noise
    start, scale = _added(sampler, x.to(noise), levels["all"][-1])
    return (noisy.to(noise) - start) / scale


def euler(model: Any, x: Tensor, sigmas: Tensor, extra_args: Mapping[str, Any], callback: Any, **_: Any) -> Tensor:
    """Follow the sampling equation along any noise levels, which may rise: k-diffusion's signature, no randomness."""
    rows = x.new_ones([x.shape[0]])
    for step, (now, then) in enumerate(pairwise(sigmas.to(x.device))):
        denoised = model(x, now * rows, **extra_args)
        callback({"x": x, "i": step, "sigma": now, "sigma_hat": now, "denoised": denoised})
        x = x + (x - denoised) * ((then - now) / now).to(x)
    return x


def rising_levels(least: float, level: float, steps: int) -> Tensor:
    """steps + 1 noise levels from the least to the given one, evenly spaced in their seventh root (Karras et al.)."""
    ramp: Tensor = torch.linspace(0, 1, steps + 1) * (level ** (1 / 7) - least ** (1 / 7)) + least ** (1 / 7)
    return ramp**7


def _least(sampler: Any) -> float:
    """The lowest noise level that the model was trained with."""
    return float(sampler.model_wrap.sigmas[0])


def _added(sampler: Any, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """What the host makes of latents at a noise level without noise, and of one unit of noise."""
    one, zero = torch.ones_like(x[:1]), torch.zeros_like(x)
    level = level.to(x.device)
    return _noised(sampler, x, zero, level), _noised(sampler, zero[:1], one, level).mean()


def _noised(sampler: Any, x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    if hasattr(shared.sd_model, "add_noise_to_latent"):
        made: Tensor = shared.sd_model.add_noise_to_latent(x, noise, level)
        return made
    predictor = getattr(sampler.model_wrap, "predictor", None)
    if predictor is not None:
        scaled: Tensor = predictor.noise_scaling(level, noise, x, max_denoise=False)
        return scaled
    return x + noise * level


def _aside(p: Any, **changes: Any) -> Any:
    """A copy of the processing object, so that nothing that is written there stays."""
    aside = copy.copy(p)
    aside.extra_generation_params = dict(p.extra_generation_params)
    for name, value in changes.items():
        setattr(aside, name, value)
    return aside
