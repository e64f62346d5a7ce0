"""Whether the host has what this extension hangs on to: features are looked for, never version strings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache

from modules import processing, script_callbacks, sd_samplers_cfg_denoiser, sd_samplers_common


@cache
def missing_features() -> tuple[str, ...]:
    """What this host lacks, in words for the person who reads them in the panel; empty where everything is there."""
    return tuple(_missing_features())


def refusal() -> str | None:
    """Why the extension cannot work on this host, or None."""
    missing = missing_features()
    return f"InstantAS cannot work on this host, which lacks: {'; '.join(missing)}" if missing else None


def _missing_features() -> Iterator[str]:
    if not hasattr(script_callbacks, "on_cfg_denoiser"):
        yield "a callback before each evaluation of the model (on_cfg_denoiser)"
    elif "denoiser" not in inspect.signature(script_callbacks.CFGDenoiserParams).parameters:
        yield "the denoiser in that callback (CFGDenoiserParams.denoiser)"
    if not hasattr(sd_samplers_common, "InterruptedException"):
        yield "a way to interrupt a sampler (InterruptedException)"
    if "self.inner_model(" not in inspect.getsource(sd_samplers_cfg_denoiser.CFGDenoiser):
        yield "a sampler that asks the model through its wrapper (CFGDenoiser.inner_model)"
    if "callable(value)" not in inspect.getsource(processing.create_infotext):
        yield "picture metadata that is written after sampling (callables in extra_generation_params)"
