"""`plan`: the grid of a canvas at each step, in words, as JSON or as a picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lib_instantas.agreement import check, without_effect
from lib_instantas.capabilities import ALL
from lib_instantas.cli.options import add_settings, settings_from
from lib_instantas.hosts.samplers import evaluations_of, evaluations_per_step
from lib_instantas.methods import Request
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.sizes import canvas_for, parse_size
from lib_instantas.summary import Summary, summarise
from lib_instantas.tiling import LATENT_SCALE, Size


def add_to(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("plan", help="show the tiles of a picture size", description=__doc__)
    parser.add_argument("size", help="picture size in pixels, WIDTHxHEIGHT")
    parser.add_argument("--native", type=int, default=512, metavar="PIXELS", help="size the model knows (default 512)")
    parser.add_argument("--steps", type=int, default=50, help="steps of the sampler (default 50)")
    parser.add_argument("--sampler", default="DDIM", help="Heun asks the model twice a step (default DDIM)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random schedule (default 0)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON and nothing else")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw canvas, tiles and their travel")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the plan and draw it if asked to."""
    settings, size = settings_from(options), parse_size(options.size)
    check(settings, ALL)
    request = _request(options, settings, size)
    summary = summarise(request)
    print(json.dumps(summary.as_json()) if options.json else _words(summary, without_effect(settings)))
    if options.png:
        from lib_instantas.drawing import draw_plan

        draw_plan(request).save(options.png)


def _request(options: argparse.Namespace, settings: Settings, size: Size) -> Request:
    if not 1 <= options.steps <= 10_000:
        raise SettingsError(f"steps must be between 1 and 10000, got {options.steps}")
    if options.native < 64 or options.native % 64:
        raise SettingsError(f"native must be a multiple of 64 pixels, got {options.native}")
    evaluations, per_step = evaluations_of(options.sampler, options.steps), evaluations_per_step(options.sampler)
    return Request(canvas_for(size), options.native // LATENT_SCALE, settings, options.seed, evaluations, per_step)


def _words(summary: Summary, notes: list[str]) -> str:
    height, width = summary.canvas
    lines = [
        f"canvas: {width}x{height} latent pixels",
        f"grid: {summary}",
        f"computed: {summary.computed_ratio:.3f} latent pixels for each one of the canvas",
    ]
    if summary.period:
        lines.append(f"period: {summary.period} moves")
    if any(offset != (0, 0) for offset in summary.offsets):
        lines.append("offsets (down, right), latent pixels: " + " ".join(f"{y},{x}" for y, x in summary.offsets))
    return "\n".join([*lines, *notes])
