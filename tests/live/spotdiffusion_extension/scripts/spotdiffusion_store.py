"""Benchmark-only extension: gives reForge's SpotDiffusion what it reads and nothing in reForge sets any more.

At 3b56b26 it ends every picture with "'Store' object has no attribute 'sigmas'".
"""

from __future__ import annotations

from typing import Any

from modules import script_callbacks, shared


def fill(params: Any) -> None:
    """Before the first evaluation of a run: the noise levels, and the options of the model."""
    from lib_multidiffusion.tiled_diffusion import store

    denoiser = params.denoiser
    if denoiser.step == 0:
        store.sigmas = denoiser.sampler.get_sigmas(denoiser.p, denoiser.p.steps)
        store.model_options = shared.sd_model.forge_objects.unet.model_options
        store.extra_args = {}


script_callbacks.on_cfg_denoiser(fill)
