"""The live line under the panel: what a generation would do, from the same planner that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modules import sd_samplers, sd_samplers_timesteps, shared

from lib_instantas.agreement import without_effect
from lib_instantas.composition import first_size, second_steps
from lib_instantas.hosts.a1111.chosen import levels_of_choice, native_side_of_choice
from lib_instantas.hosts.a1111.native import SD1
from lib_instantas.hosts.a1111.settings_page import parse_arguments
from lib_instantas.hosts.a1111.sizes import Output, size_warnings
from lib_instantas.methods import Request
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.sizes import canvas_for
from lib_instantas.summary import Summary, summarise, why_off
from lib_instantas.tiling import LATENT_SCALE, CostModel, Size

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

MANY_TILES = 2_000
"""Tiles in one grid from which on only the first evaluation is planned and the rest is taken to be like it."""


UNKNOWN = f"if the model knows {SD1 * LATENT_SCALE}x{SD1 * LATENT_SCALE}, which is found out when it is loaded"
"""Said of a forecast for a model that is not loaded yet, where its file alone does not tell."""


@dataclass(frozen=True)
class PlannedPass:
    """One sampling run: `size` is (height, width) in image pixels, `evaluations` how often the sampler asks.

    Some samplers ask a few times more or less than their steps say: then `exact` is false. One that `composes` makes
    the first of two stages, without tiles.
    """

    name: str
    size: Size
    evaluations: int
    exact: bool = True
    composes: bool = False


def line_for(arguments: Sequence[Any], controls: Mapping[str, Any]) -> str:
    """The live line for the panel's values and those of the page's controls; an error in words if they are wrong."""
    try:
        settings = parse_arguments(arguments)
    except SettingsError as error:
        return str(error)
    native = native_side_of_choice()
    passes = passes_of(settings, controls, native or SD1)
    line = forecast(settings, passes, native or SD1, output_here(), levels_of_choice())
    if settings.upscale_by != 1 and "denoising_strength" not in controls:
        line = f"{line}; then the finished picture, {_upscaled(settings, native or SD1)}"
    return line if native or settings.tile else f"{line} ({UNKNOWN})"


def output_here() -> Output:
    """Where this host's pictures and live previews go."""
    opts = shared.opts
    previews = getattr(opts, "live_previews_enable", False) and getattr(opts, "show_progress_every_n_steps", 0) > 0
    return Output(
        opts.samples_format,
        getattr(opts, "show_progress_type", None) if previews else None,
        getattr(opts, "live_previews_image_format", "png"),
    )


def passes_of(settings: Settings, controls: Mapping[str, Any], native: int = SD1) -> list[PlannedPass]:
    """The sampling runs of one picture by a model of `native` latent pixels a side.

    A control that this host's page lacks has its usual value.
    """
    given = "denoising_strength" in controls and settings.upscale_by != 1
    if given and not (settings.width and settings.height):
        return []  # the size is that of the picture, which the line does not see
    size = settings.height or int(controls.get("height", 512)), settings.width or int(controls.get("width", 512))
    steps = int(controls.get("steps", 20))
    if "denoising_strength" in controls and not shared.opts.img2img_fix_steps:
        steps = int(min(controls["denoising_strength"], 0.999) * steps) + 1
    sampler = str(controls.get("sampling", ""))
    if not controls.get("hr-checkbox"):
        first = first_size(size, native) if settings.compose and "denoising_strength" not in controls else None
        if first is None:
            return [_pass("", size, sampler, steps)]
        again = second_steps(steps, settings.compose_strength)
        return [
            replace(_pass("composed first: ", first, sampler, steps), composes=True),
            _pass("then ", size, sampler, again),
        ]
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


def _pass(name: str, size: tuple[int, int], sampler: str, steps: int) -> PlannedPass:
    """A run of a sampler; the host knows which ask twice a step, and DDIM and its like ask once less."""
    config = sd_samplers.find_sampler_config(sampler)
    evaluations = int(config.total_steps(steps)) if config is not None else steps
    timesteps = {data.name for data in sd_samplers_timesteps.samplers_data_timesteps}
    return PlannedPass(name, size, evaluations, exact=evaluations == steps and sampler not in timesteps | VARIABLE)


def forecast(
    settings: Settings, passes: list[PlannedPass], native: int, output: Output | None = None, levels: int | None = None
) -> str:
    """One line for the passes of a generation with a model of `native` latent pixels a side.

    `levels` is how many resolutions its UNet works at, where that is known.
    """
    lines = [f"{work.name}{_describe(settings, work, native, levels)}" for work in passes]
    if any(work.composes for work in passes):
        lines.append(_both_stages(settings, passes, native))
    warnings = size_warnings(passes[-1].size, output or Output()) if passes else ()
    if passes and (settings.width or settings.height):
        lines.append(f"The size is the panel's {_shown(passes[-1].size)}, not the page's")
    if not passes:
        lines = [f"the given picture, {_upscaled(settings, native)}"]
    if settings.noise_inversion and settings.method != "ScaleCrafter":
        lines.append(f"where a picture is given, {settings.noise_inversion} more evaluations before them for its noise")
    text = "; ".join([*lines, *without_effect(settings), *warnings])
    return text if settings.enabled else f"Off. Switched on: {text}"


def _upscaled(settings: Settings, native: int) -> str:
    side = settings.native_side(native) * LATENT_SCALE
    enlarged = f"{settings.upscale_by:g} times as wide and high by {settings.upscaler}"
    return f"{enlarged}, finished in tiles of about {side}x{side}"


def _describe(settings: Settings, work: PlannedPass, native: int, levels: int | None) -> str:
    if work.composes:
        return f"{_shown(work.size)}, {work.evaluations} UNet evaluations"
    request = Request(canvas_for(work.size), native, settings, steps=work.evaluations, levels=levels)
    summary = _summary(request)
    about = "" if work.exact else "about "
    if settings.method == "direct":
        without = f"{about}{work.evaluations} UNet evaluations of {_shown(work.size)}"
        return f"{without} at once, {_times_native(request)}"
    if not summary.does_something:
        reason = why_off(settings.method).removeprefix("off: the image")
        return f"nothing to do, {_shown(work.size)}{reason}; {about}{work.evaluations} UNet evaluations as without"
    if summary.dilated:
        return f"{about}{summary}; the whole picture at once, {_times_native(request)}"
    instead = f"of a tile instead of {work.evaluations} of {_shown(work.size)}"
    cost = f"about {summary.work:.2g} times the work, and the memory of a tile"
    return f"{about}{summary} {instead}: {cost}{_travel(summary)}"


def _travel(summary: Summary) -> str:
    """How far a cyclic grid moves at a time, (down, across) in image pixels, as its plans have it; else nothing."""
    if summary.period is None or len(summary.offsets) < 2:
        return ""
    axes = zip(*summary.offsets, strict=True)
    moves = (next((abs(place) for place in places if place), 0) for places in axes)
    told = [f"{move * LATENT_SCALE} px {way}" for move, way in zip(moves, ("down", "across"), strict=True) if move]
    return f"; the grid moves {' and '.join(told)} at a time" if told else "; the grid stands still"


def _both_stages(settings: Settings, passes: Sequence[PlannedPass], native: int) -> str:
    """What two stages cost beside tiles from noise: the share of steps that tiles still make, and a small picture."""
    first, last = passes
    tiles = _summary(Request(canvas_for(last.size), native, settings, steps=first.evaluations))
    cost = CostModel(settings.native_side(native))
    small = cost(canvas_for(first.size)) / (cost(canvas_for(last.size)) * tiles.work)
    return f"together about {last.evaluations / first.evaluations + small:.2g} times the work of tiles from noise"


def _summary(request: Request) -> Summary:
    first = summarise(replace(request, steps=1))
    if first.tiles_per_step < MANY_TILES:
        return summarise(request)
    return replace(first, evaluations=first.evaluations * request.steps)


def _times_native(request: Request) -> str:
    side = request.settings.native_side(request.native)
    times = request.canvas[0] * request.canvas[1] / side**2
    return f"{times:.1f} times the model's {side * LATENT_SCALE}x{side * LATENT_SCALE}"


def _shown(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
