"""How many shapes, UNet calls and pixels the default's tiles need, from plans alone: 20 evaluations of each canvas.

For each canvas: `shapes`, how many different tile shapes the model sees in a run; `calls`, UNet calls per evaluation on
average when all tiles of one shape go in one call, as far as memory permits; `computed`, latent pixels computed per
latent pixel of the canvas. Every shape is a batch of its own, and where convolutions are planned or models compiled for
a shape, every new one costs that once. `--set NAME=VALUE` changes a setting: `--set fit=native --set edges=ring`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.report import arguments
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.sizes import canvas_for, parse_size
from lib_instantas.tiling import TilePlan

EVALUATIONS = 20

NATIVE = {"SD 1.5": 64, "SDXL": 128}
"""Side of the square that a model knows, latent pixels."""

CANVASES = (
    ("2048x512", "SD 1.5"),
    ("4096x512", "SD 1.5"),
    ("1024x1024", "SD 1.5"),
    ("2048x2048", "SD 1.5"),
    ("4096x4096", "SD 1.5"),
    ("2048x1024", "SDXL"),
    ("2048x2048", "SDXL"),
    ("4096x4096", "SDXL"),
)


def main() -> None:
    """Count and print."""
    parser = arguments(__doc__)
    parser.add_argument("--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE", help="settings")
    options = parser.parse_args()
    changed = dict(text.split("=", 1) for text in options.set)
    figures = {f"{size} {model}": figures_of(size, NATIVE[model], changed) for size, model in CANVASES}
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{'':<20}{'shapes':>8}{'calls':>8}{'computed':>10}")
    for name, row in figures.items():
        print(f"{name:<20}{row['shapes']:>8}{row['calls']:>8.2f}{row['computed']:>10.3f}")


def figures_of(size: str, native: int, changed: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one canvas, WIDTHxHEIGHT image pixels, for a model of that many latent pixels."""
    settings = parse_settings({"enabled": True, **changed})
    method = make_method(Request(canvas_for(parse_size(size)), native, settings, steps=EVALUATIONS))
    return count([method.plan(evaluation) for evaluation in range(EVALUATIONS)])


def count(plans: Iterable[TilePlan]) -> dict[str, float]:
    """Shapes, calls and computed pixels of a run's plans."""
    plans = list(plans)
    seen = [{tile.size for tile in plan.tiles} for plan in plans]
    pixels = sum(plan.canvas[0] * plan.canvas[1] for plan in plans)
    return {
        "shapes": len(set().union(*seen)),
        "calls": sum(map(len, seen)) / len(plans),
        "computed": sum(plan.computed for plan in plans) / pixels,
    }


if __name__ == "__main__":
    main()
