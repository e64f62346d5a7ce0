"""The WebUI's samplers on a diffusers pipeline."""

from __future__ import annotations

from typing import Any

from lib_instantas.settings import SettingsError

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DDIM": ("DDIMScheduler", {}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "LCM": ("LCMScheduler", {}),
}
"""The WebUI's names for samplers, each as a diffusers scheduler and its options."""

SECOND_ORDER = ("Heun",)
"""Samplers that ask the model twice in every step but the last."""


def check_sampler(name: str) -> None:
    """Raises SettingsError unless there is such a sampler."""
    if name not in SAMPLERS:
        raise SettingsError(f"sampler must be one of {', '.join(SAMPLERS)}, got {name!r}")


def evaluations_of(sampler: str, steps: int) -> int:
    """How often a sampler asks the model in so many steps."""
    check_sampler(sampler)
    return 2 * steps - 1 if sampler in SECOND_ORDER else steps


def evaluations_per_step(sampler: str) -> int:
    """How often a sampler asks the model in each step but the last."""
    return 2 if sampler in SECOND_ORDER else 1


def use_sampler(pipeline: Any, name: str, steps: int) -> None:
    """Give the pipeline this sampler. Raises SettingsError for an unknown one, and for steps that it cannot make."""
    import diffusers

    check_sampler(name)
    scheduler, options = SAMPLERS[name]
    made = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config, **options)
    try:
        made.set_timesteps(steps)
    except ValueError as reason:
        raise SettingsError(f"steps cannot be {steps} with the sampler {name}: {reason}") from None
    pipeline.scheduler = made
