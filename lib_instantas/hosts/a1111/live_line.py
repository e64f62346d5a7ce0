"""The live line under the panel: what a generation would do, from the same planner that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modules import sd_samplers, sd_samplers_timesteps, shared

from lib_instantas.agreement import without_effect
from lib_instantas.composition import first_size, second_steps
from lib_instantas.errors import told
from lib_instantas.hosts.a1111.chosen import levels_of_choice, native_side_of_choice
from lib_instantas.hosts.a1111.native import SD1
from lib_instantas.hosts.a1111.settings_page import parse_arguments
from lib_instantas.hosts.a1111.sizes import Output, hires_size, size_warnings
from lib_instantas.hosts.a1111.upscaling import STRENGTH, enlarged
from lib_instantas.methods import Request
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.sizes import canvas_for
from lib_instantas.summary import Summary, summarise
from lib_instantas.texts import messages
from lib_instantas.texts.message import Message, joined
from lib_instantas.tiling import LATENT_SCALE, CostModel, Size

FOLLOWED = {
    "txt2img": (
        *("width", "height", "steps", "sampling", "hires_steps"),
        *("hr-checkbox", "hr_scale", "hr_resize_x", "hr_resize_y"),
    ),
    "img2img": ("width", "height", "steps", "sampling", "denoising_strength"),
}
"""The page's controls that matter, by the ends of their element ids."""

GIVEN = "given"
"""Name of the field, in img2img's panel, in which the page says how large the given picture is: "1024x768"."""

VARIABLE = {"DPM adaptive", "DPM fast", "Restart"}
"""Samplers that do not take the number of steps at its word."""

MANY_TILES = 2_000
"""Tiles in one grid from which on only the first evaluation is planned and the rest is taken to be like it."""


@dataclass(frozen=True)
class PlannedPass:
    """One sampling run: `size` is (height, width) in image pixels, `evaluations` how often the sampler asks.

    `name` is a template that says which of several it is, empty for the only one. Some samplers ask a few times more or
    less than their steps say: then `exact` is false. One that `composes` makes the first of two stages, without tiles.
    One that enlarges begins with a picture of the size `given`, (height, width) in image pixels.
    """

    name: str
    size: Size
    evaluations: int
    exact: bool = True
    composes: bool = False
    given: Size | None = None


def line_for(arguments: Sequence[Any], controls: Mapping[str, Any]) -> str:
    """The live line for the panel's values and those of the page's controls, or what is wrong with them: a message."""
    try:
        settings = parse_arguments(arguments)
    except SettingsError as error:
        return told(error)
    native = native_side_of_choice()
    passes = passes_of(settings, controls, native or SD1)
    line = forecast(settings, passes, native or SD1, output_here(), levels_of_choice())
    if native or settings.tile:
        return line
    side = SD1 * LATENT_SCALE
    return messages.UNKNOWN_MODEL(line=line, size=_shown((side, side)))


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

    A control that this host's page lacks has its usual value. None where a given picture is enlarged and its size is
    not known.
    """
    size = settings.height or int(controls.get("height", 512)), settings.width or int(controls.get("width", 512))
    steps, sampler = int(controls.get("steps", 20)), str(controls.get("sampling", ""))
    if "denoising_strength" in controls:
        return _of_given(settings, controls, size, sampler, _steps_of_given(controls["denoising_strength"], steps))
    made = _of_text(settings, controls, native, size, sampler, steps)
    if settings.upscale_by == 1:
        return made
    last = made[-1].size
    again = _pass(messages.THEN, enlarged(last, settings), sampler, _steps_of_given(STRENGTH, steps))
    return [*made, replace(again, given=last)]


def _of_given(
    settings: Settings, controls: Mapping[str, Any], size: Size, sampler: str, steps: int
) -> list[PlannedPass]:
    """img2img: at this size, unless it is enlarged."""
    if settings.upscale_by == 1:
        return [_pass("", size, sampler, steps)]
    width, _, height = str(controls.get(GIVEN, "")).partition("x")
    given = (int(height), int(width)) if width.isdecimal() and height.isdecimal() else None
    if given is None and not (settings.width and settings.height):
        return []
    by_factor = enlarged(given or size, settings)
    finished = settings.height or by_factor[0], settings.width or by_factor[1]
    return [replace(_pass("", finished, sampler, steps), given=given)]


def _steps_of_given(strength: float, steps: int) -> int:
    """How many steps the host makes of a picture at a denoising strength."""
    return steps if shared.opts.img2img_fix_steps else int(min(strength, 0.999) * steps) + 1


def _of_text(
    settings: Settings, controls: Mapping[str, Any], native: int, size: Size, sampler: str, steps: int
) -> list[PlannedPass]:
    """txt2img, before anything is enlarged."""
    if not controls.get("hr-checkbox"):
        first = first_size(size, native) if settings.compose else None
        if first is None:
            return [_pass("", size, sampler, steps)]
        again = second_steps(steps, settings.compose_strength)
        return [
            replace(_pass(messages.COMPOSED_FIRST, first, sampler, steps), composes=True),
            _pass(messages.THEN, size, sampler, again),
        ]
    again = int(controls.get("hires_steps", 0)) or steps
    target = int(controls.get("hr_resize_y", 0)), int(controls.get("hr_resize_x", 0))
    larger = hires_size(size, float(controls.get("hr_scale", 2)), target)
    return [
        _pass(messages.FIRST_PASS, size, sampler, steps),
        _pass(messages.HIRES_PASS, larger, sampler, again),
    ]


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
    lines = [_named(settings, work, _describe(settings, work, native, levels)) for work in passes]
    if any(work.composes for work in passes):
        lines.insert(2, _both_stages(settings, passes[:2], native))
    warnings = size_warnings(passes[-1].size, output or Output()) if passes else ()
    if passes and (settings.width or settings.height):
        of_page = [work for work in passes if work.name != messages.THEN or work.given is None]
        lines.append(messages.OWN_SIZE(size=_shown(of_page[-1].size)))
    if not passes:
        side = settings.native_side(native) * LATENT_SCALE
        tile = _shown((side, side))
        lines = [messages.UPSCALED(times=settings.upscale_by, upscaler=settings.upscaler, size=tile)]
    if settings.inverts_noise:
        lines.append(messages.INVERTED(evaluations=settings.noise_inversion))
    text = joined([*lines, *without_effect(settings), *warnings], messages.NEXT)
    return text if settings.enabled else messages.SWITCHED_OFF(line=text)


def _named(settings: Settings, work: PlannedPass, text: str) -> str:
    if work.given is not None:
        given, size = _shown(work.given), _shown(work.size)
        text = messages.ENLARGED(given=given, size=size, upscaler=settings.upscaler, work=text)
    return Message(work.name, work=text) if work.name else text


def _describe(settings: Settings, work: PlannedPass, native: int, levels: int | None) -> str:
    size, evaluations = _shown(work.size), work.evaluations
    if work.composes:
        return messages.SMALL(size=size, evaluations=evaluations)
    request = Request(canvas_for(work.size), native, settings, steps=evaluations, levels=levels)
    summary = _summary(request)
    if settings.method == "direct":
        return _about(work, messages.DIRECT(evaluations=evaluations, size=size, times=_times_native(request)))
    if not summary.does_something:
        idle = messages.SHORT if settings.method == "ScaleCrafter" else messages.FITS
        if settings.region_setup.active:
            idle = messages.REGIONS_ALONE
        return idle(size=size, evaluations=_about(work, f"{evaluations}"))
    if summary.dilated:
        return _about(work, messages.WHOLE(work=summary.words, times=_times_native(request)))
    cost = _beside(summary.work, messages.AT_ONCE())
    cost = messages.INSTEAD(work=summary.words, evaluations=evaluations, size=size, cost=cost)
    return joined([_about(work, cost), _travel(summary)], messages.NEXT)


def _beside(share: float, other: Message) -> Message:
    """How much work it is, as a share of another way."""
    if round(share, 1) == 1:
        return messages.AS_MUCH(other=other)
    if share < 1:
        return messages.LESS(share=share, other=other)
    return messages.MORE(times=f"{share:.2g}" if share < 10 else f"{share:.0f}", other=other)


def _about(work: PlannedPass, text: str) -> str:
    return text if work.exact else messages.ABOUT(work=text)


def _travel(summary: Summary) -> str:
    """How far a cyclic grid moves at a time, in image pixels, as its plans have it; empty for others."""
    if summary.period is None or len(summary.offsets) < 2:
        return ""
    axes = zip(*summary.offsets, strict=True)
    down, across = (next((abs(place) for place in places if place), 0) * LATENT_SCALE for places in axes)
    if down and across:
        return messages.MOVES_BOTH(down=down, across=across)
    if down or across:
        return messages.MOVES_DOWN(down=down) if down else messages.MOVES_ACROSS(across=across)
    return messages.STANDS_STILL()


def _both_stages(settings: Settings, passes: Sequence[PlannedPass], native: int) -> Message:
    """What two stages cost beside tiles from noise: the share of steps that tiles still make, and a small picture."""
    first, last = passes
    tiles = _summary(Request(canvas_for(last.size), native, settings, steps=first.evaluations))
    cost = CostModel(settings.native_side(native))
    small = cost(canvas_for(first.size)) / (cost(canvas_for(last.size)) * tiles.work)
    return messages.BOTH_STAGES(cost=_beside(last.evaluations / first.evaluations + small, messages.FROM_NOISE()))


def _summary(request: Request) -> Summary:
    first = summarise(replace(request, steps=1))
    if first.tiles_per_step < MANY_TILES:
        return summarise(request)
    return replace(first, evaluations=first.evaluations * request.steps)


def _times_native(request: Request) -> Message:
    side = request.settings.native_side(request.native)
    times = request.canvas[0] * request.canvas[1] / side**2
    if f"{times:.1f}" == "1.0":
        return messages.NATIVE_SIZE()
    return messages.TIMES_NATIVE(times=times, size=_shown((side * LATENT_SCALE, side * LATENT_SCALE)))


def _shown(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
