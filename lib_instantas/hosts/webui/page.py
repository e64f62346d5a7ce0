"""What the page's own controls say about a generation: the passes it would make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules import sd_models, sd_samplers, sd_samplers_timesteps, shared

from lib_instantas.hosts.webui.arguments import parse_arguments
from lib_instantas.hosts.webui.forecast import Pass, forecast
from lib_instantas.hosts.webui.limits import Output
from lib_instantas.hosts.webui.native import SD1, native_side
from lib_instantas.settings import Settings, SettingsError

FOLLOWED = {
    "txt2img": (
        *("width", "height", "steps", "sampling", "hires_steps"),
        *("hr-checkbox", "hr_scale", "hr_resize_x", "hr_resize_y"),
    ),
    "img2img": ("width", "height", "steps", "sampling", "denoising_strength"),
}
"""The page's controls that matter, by the ends of their element ids."""

VARIABLE = {"DPM adaptive", "DPM fast", "Restart"}
"""Samplers that do not take the number of steps at its word."""


def line_for(arguments: Sequence[Any], controls: Mapping[str, Any]) -> str:
    """The live line for the panel's values and those of the page's controls; an error in words if they are wrong."""
    try:
        settings = parse_arguments(arguments)
    except SettingsError as error:
        return str(error)
    model = sd_models.model_data.sd_model
    native = SD1 if model is None else native_side(model)
    return forecast(settings, passes_of(settings, controls), native, output_here())


def output_here() -> Output:
    """Where this host's pictures and live previews go."""
    opts = shared.opts
    previews = getattr(opts, "live_previews_enable", False) and getattr(opts, "show_progress_every_n_steps", 0) > 0
    return Output(
        opts.samples_format,
        getattr(opts, "show_progress_type", None) if previews else None,
        getattr(opts, "live_previews_image_format", "png"),
    )


def passes_of(settings: Settings, controls: Mapping[str, Any]) -> list[Pass]:
    """The sampling runs of one picture. A control that this host's page lacks has its usual value."""
    size = settings.height or int(controls.get("height", 512)), settings.width or int(controls.get("width", 512))
    steps = int(controls.get("steps", 20))
    if "denoising_strength" in controls and not shared.opts.img2img_fix_steps:
        steps = int(min(controls["denoising_strength"], 0.999) * steps) + 1
    sampler = str(controls.get("sampling", ""))
    if not controls.get("hr-checkbox"):
        return [_pass("", size, sampler, steps)]
    again = int(controls.get("hires_steps", 0)) or steps
    return [
        _pass("first pass: ", size, sampler, steps),
        _pass("hires pass: ", _hires_size(size, controls), sampler, again),
    ]


def _hires_size(size: tuple[int, int], controls: Mapping[str, Any]) -> tuple[int, int]:
    width, height = int(controls.get("hr_resize_x", 0)), int(controls.get("hr_resize_y", 0))
    if not width and not height:
        scale = float(controls.get("hr_scale", 2))
        return int(size[0] * scale), int(size[1] * scale)
    return height or width * size[0] // size[1], width or height * size[1] // size[0]


def _pass(name: str, size: tuple[int, int], sampler: str, steps: int) -> Pass:
    """A run of a sampler; the host knows which ask twice a step, and DDIM and its like ask once less."""
    config = sd_samplers.find_sampler_config(sampler)
    evaluations = int(config.total_steps(steps)) if config is not None else steps
    timesteps = {data.name for data in sd_samplers_timesteps.samplers_data_timesteps}
    return Pass(name, size, evaluations, exact=evaluations == steps and sampler not in timesteps | VARIABLE)
