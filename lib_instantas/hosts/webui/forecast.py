"""What a generation would do, in one line, from the same planner that does it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lib_instantas.hosts.webui.limits import Output, size_warnings
from lib_instantas.methods import Request
from lib_instantas.settings import Settings
from lib_instantas.sizes import canvas_for
from lib_instantas.summary import Summary, summarise, why_off
from lib_instantas.tiling import LATENT_SCALE, Size

MANY_TILES = 2_000
"""Tiles in one grid from which on only the first evaluation is planned and the rest is taken to be like it."""


@dataclass(frozen=True)
class Pass:
    """One sampling run: `size` is (height, width) in image pixels, `evaluations` how often the sampler asks.

    Some samplers ask a few times more or less than their steps say: then `exact` is false.
    """

    name: str
    size: Size
    evaluations: int
    exact: bool = True


def forecast(settings: Settings, passes: list[Pass], native: int, output: Output | None = None) -> str:
    """One line for the passes of a generation with a model of `native` latent pixels a side."""
    lines = [f"{work.name}{_describe(settings, work, native)}" for work in passes]
    text = "; ".join([*lines, *(size_warnings(passes[-1].size, output or Output()) if passes else ())])
    return text if settings.enabled else f"Off. Switched on: {text}"


def _describe(settings: Settings, work: Pass, native: int) -> str:
    request = Request(canvas_for(work.size), native, settings, steps=work.evaluations)
    summary = _summary(request)
    about = "" if work.exact else "about "
    without = f"{about}{work.evaluations} UNet evaluations of {_shown(work.size)}"
    if settings.method == "direct":
        return f"{without} at once, {_times_native(request)}"
    if not summary.does_something:
        reason = why_off(settings.method).removeprefix("off: the image")
        return f"nothing to do, {_shown(work.size)}{reason}; {without}"
    return f"{about}{summary}; without: {without}, {_times_native(request)}"


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
