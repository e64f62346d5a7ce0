"""Quality of pictures by method and setting, judged with Small World.

For fixed prompts and seeds, every variant paints panoramas of 1024x256 (one tiled axis) and squares of 512x512 (two).
Reported for each: seam where the lines of a resting grid are (`seam`; `worst` line) and where the grid stood in the
last quarter of the run (`last`), noise as wide as a latent pixel (`mottle`), colour drift along the longer axis, share
of 256x256 crops whose place and time are the prompt's (`crops`), Frechet distance of crops to drawn native pictures of
the same scenes in the judge's features (`fid_w`; the model's own pictures are measured in the same way), all on
prompts that name no thing, whose edges would drown the seams; and, on half as many prompts with a thing, how many are
painted (`things`). `_ci` is half of a 95 % interval over pictures. `--sheets DIR` also writes a contact sheet for each
canvas; `--full` adds Euler a and 50 steps for the variants that decide the defaults, `--few` 4, 6 and 8 steps,
`--held` Heun's method with a grid moved or held.
"""

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.images import drawn, features_of, native_crops, together
from benchmarks.measures import (
    CELL,
    bootstrap,
    colour_drift,
    frechet,
    interval,
    mottle,
    object_count,
    prompt_score,
    seam,
)
from benchmarks.painting import Recipe, paint
from benchmarks.report import arguments, progress
from lib_instantas.methods import Request, make_method
from lib_instantas.presets import PRESETS
from lib_instantas.settings import Settings
from lib_instantas.tiling import TilePlan
from small_world import CHECKPOINT, NATIVE
from small_world.checkpoint import Model, load
from small_world.judge import Judge, load_judge
from small_world.progress import keep_memory
from small_world.scene import PLACES, THINGS, TIMES, TIMES_OF_THING, Scene, describe

CANVASES = {"1024x256": (256, 1024), "512x512": (512, 512)}


def _instantas(**settings: Any) -> Settings:
    return Settings(enabled=True, **settings)


VARIANTS: dict[str, Settings | None] = {
    "direct": None,
    "no bridging": _instantas(schedule="cyclic", gamma=0.0, fit="native"),
    "default": _instantas(),
    "golden elastic": _instantas(schedule="golden", edges="elastic", fit="fitted"),
    "golden elastic native": _instantas(schedule="golden", edges="elastic", fit="native"),
    "golden elastic together": _instantas(schedule="golden", edges="elastic", fit="fitted", movement="together"),
    "golden clamp": _instantas(schedule="golden", edges="clamp", fit="fitted"),
    "golden ring": _instantas(schedule="golden", edges="ring", fit="fitted"),
    **{
        f"random {edges}": _instantas(schedule="random", edges=edges, fit="fitted")
        for edges in ("elastic", "clamp", "ring")
    },
    **{
        f"cyclic {gamma} ring": _instantas(schedule="cyclic", gamma=gamma, edges="ring", fit="native")
        for gamma in (0.015, 0.125, 0.25, 0.5, 1.0)
    },
    **{
        f"cyclic {gamma} elastic": _instantas(schedule="cyclic", gamma=gamma, edges="elastic", fit="fitted")
        for gamma in (0.0075, 0.0625, 0.125, 0.25)
    },
    "default, held": _instantas(hold=True),
    "as in the paper, not held": Settings(enabled=True, **{**PRESETS["As in the paper"].values, "hold": False}),
    "as in the paper": Settings(enabled=True, **PRESETS["As in the paper"].values),
}
"""Settings by name, the most telling first; None is the whole canvas at once.

"native" rows are the paper's method (and on a ring, its gamma of 1 stands still): tiles without context at the end.
"""
DECIDING = ("direct", "no bridging", "cyclic 0.015 ring", "cyclic 0.125 elastic", "golden elastic", "default")
QUICK = ("direct", "no bridging", "default")
FEW = ("direct", "golden elastic", "default")
HELD = ("direct", "default", "default, held", "as in the paper, not held", "as in the paper")


@dataclass(frozen=True)
class Trial:
    """One row of the table: a named variant on a canvas with a sampler and steps."""

    variant: str
    canvas: str
    sampler: str = "DDIM"
    steps: int = 20

    @property
    def label(self) -> str:
        """Name of the row."""
        return f"{self.variant} {self.canvas} {self.sampler} {self.steps}"

    @property
    def recipe(self) -> Recipe:
        """How its pictures are painted."""
        return Recipe(CANVASES[self.canvas], VARIANTS[self.variant], self.sampler, self.steps)


def scenes(count: int, bare: bool = False) -> list[Scene]:
    """Return fixed scenes: every place in turn, light and thing changing, each thing where it may be; bare, none."""
    chosen = []
    for index in range(count):
        thing = None if bare else THINGS[(3 * index + index // 8) % len(THINGS)]
        times = TIMES_OF_THING.get(thing or "", TIMES)
        time_of_day = times[(index + index // 8) % len(times)]
        chosen.append(Scene(PLACES[index % len(PLACES)], time_of_day, thing, seed=10**7 + index))
    return chosen


def trials(quick: bool, full: bool, few: bool = False, held: bool = False) -> list[Trial]:
    """Return what is painted, the most telling first."""
    names = QUICK if quick else tuple(name for name in VARIANTS if name not in HELD[2:])
    rows = [Trial(name, canvas) for canvas in (["1024x256"] if quick else CANVASES) for name in names]
    if full:
        others = (("Euler a", 20), ("DDIM", 50), ("Euler a", 50))
        rows += [Trial(name, "1024x256", sampler, steps) for sampler, steps in others for name in DECIDING]
    if few:
        rows += [Trial(name, canvas, "DDIM", steps) for canvas in CANVASES for steps in (4, 6, 8) for name in FEW]
    if held:
        rows += [Trial(name, canvas, "Heun", 10) for canvas in CANVASES for name in HELD]
    return rows


def _others(scenes: Sequence[Scene], times: int = 1) -> list[Scene]:
    """Return the same scenes with other seeds, each so many times."""
    seeds = [10**6 * (1 + turn) for turn in range(times)]
    return [replace(scene, seed=scene.seed + seed) for scene in scenes for seed in seeds]


def fid_w(judge: Judge, pictures: Tensor, chosen: list[Scene]) -> dict[str, float]:
    """Return the Frechet distance of pictures or crops, as many for each scene, to drawn native pictures of the scenes.

    Numbers of pictures count: the distance grows as they fall. So ask about as many as it is compared with.
    """
    each = len(pictures) // len(chosen)
    features = features_of(judge, pictures).unflatten(0, (len(chosen), each))
    real = features_of(judge, drawn(_others(chosen, 4), (NATIVE, NATIVE)))
    spread = bootstrap(lambda rows: frechet(features[rows].flatten(0, 1), real), len(chosen), 30)
    return {"fid_w": frechet(features.flatten(0, 1), real), "fid_w_ci": spread}


def assess(judge: Judge, pictures: Tensor, chosen: list[Scene], size: tuple[int, int]) -> dict[str, float]:
    """Return seams, noise, colour drift and prompt score of pictures without things."""
    axis_lines = {"x": range(NATIVE, size[1], NATIVE), "y": range(NATIVE, size[0], NATIVE)}
    seams = {axis: [*lines] for axis, lines in axis_lines.items() if lines}
    per_axis = [seam(pictures, lines, axis) for axis, lines in seams.items()]
    figures = {"seam": max(s.mean for s in per_axis), "worst": max(s.worst for s in per_axis)}
    figures["seam_ci"] = bootstrap(lambda rows: max(seam(pictures[rows], seams[a], a).mean for a in seams), len(chosen))
    figures["mottle"], figures["mottle_ci"] = interval(mottle(pictures))
    figures["drift"], figures["drift_ci"] = interval(colour_drift(pictures, drawn(_others(chosen), size)))
    crops = native_crops(pictures)
    each = len(crops) // len(chosen)
    score = prompt_score(judge, crops, [scene for scene in chosen for _ in range(each)])
    by_picture = torch.stack([score.place, score.time]).mean(0).unflatten(0, (len(chosen), each)).mean(1)
    figures["crops"], figures["crops_ci"] = interval(by_picture)
    return figures


def things(judge: Judge, pictures: Tensor, chosen: list[Scene]) -> dict[str, float]:
    """Return how many things are seen where the prompt names one."""
    counts = [object_count(judge, picture[None], s.thing or "") for picture, s in zip(pictures, chosen, strict=True)]
    mean, spread = interval(torch.cat(counts).float())
    return {"things": mean, "things_ci": spread}


def last_seam(pictures: Tensor, recipe: Recipe) -> dict[str, float]:
    """Return the seam along the width where the grid stood in the last quarter of the evaluations: the worst of them.

    A moving grid leaves what seam it leaves there, and not where it stood at rest. Being the worst of several places,
    the figure is above 1 without any seam too: pictures without tiles are asked about the default grid's places.
    """
    canvas = (recipe.size[0] // CELL, recipe.size[1] // CELL)
    settings = recipe.settings or _instantas()
    method = make_method(Request(canvas, NATIVE // CELL, settings, 1, recipe.evaluations, recipe.per_step))
    last = range(recipe.evaluations - recipe.evaluations // 4, recipe.evaluations)
    places = {_lines(method.plan(evaluation)) for evaluation in last}

    def worst(rows: Tensor) -> float:
        return max(seam(pictures[rows], lines).mean for lines in places if lines)

    return {"last": worst(torch.arange(len(pictures))), "last_ci": bootstrap(worst, len(pictures))}


def _lines(plan: TilePlan) -> tuple[int, ...]:
    """Return where a plan's tiles meet along the width, in image pixels."""
    starts = {(tile.x.keep.start + plan.shift[1]) % plan.canvas[1] for tile in plan.tiles}
    return tuple(CELL * start for start in sorted(starts - {0}))


def native_figures(model: Model, judge: Judge, count: int) -> dict[str, float]:
    """Return the prompt score of the model's own 256x256 pictures with things, and the FID-W of those without."""
    named, bare = scenes(4 * count), scenes(count, bare=True)
    native = Recipe((NATIVE, NATIVE))
    score = prompt_score(judge, paint(model, [describe(scene) for scene in named], native, seed=1, batch=8), named)
    figures = {name: interval(getattr(score, name))[0] for name in ("place", "time", "thing")}
    figures["prompt"], figures["prompt_ci"] = interval(score.all)
    captions = [describe(scene) for scene in bare for _ in range(4)]
    pictures = paint(model, captions, native, seed=1, batch=8)
    shown = prompt_score(judge, pictures, [scene for scene in bare for _ in range(4)])
    figures["bare"] = float(torch.stack([shown.place, shown.time]).mean())
    return figures | fid_w(judge, pictures, bare)


def sheet(rows: list[tuple[str, Tensor]], path: Path, width: int = 1100) -> None:
    """Write the first pictures of every variant below each other, a few side by side."""
    image = together(pictures for _, pictures in rows)
    image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS).save(path, quality=85)


def row_of(trial: Trial, count: int) -> tuple[dict[str, Any], Tensor]:
    """Paint and judge one row of the table; also return its first pictures."""
    model, judge = _tools()
    bare, named = scenes(count, bare=True), scenes(max(2, count // 2))
    begin = time.monotonic()
    pictures = paint(model, [describe(scene) for scene in bare], trial.recipe, seed=1)
    with_things = paint(model, [describe(scene) for scene in named], trial.recipe, seed=1)
    figures = assess(judge, pictures, bare, trial.recipe.size) | fid_w(judge, native_crops(pictures, NATIVE), bare)
    figures |= last_seam(pictures, trial.recipe) | things(judge, with_things, named)
    row = {"label": trial.label, **vars(trial), **figures, "seconds": round(time.monotonic() - begin, 1)}
    progress(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}))
    return row, pictures[: 2 if trial.canvas == "1024x256" else 5].clone()


@cache
def _tools() -> tuple[Model, Judge]:
    return load(CHECKPOINT), load_judge()


def _prepare_worker() -> None:
    torch.set_num_threads(1)
    keep_memory()


def rows_of(chosen: list[Trial], count: int, workers: int, sheets: Path | None) -> list[dict[str, Any]]:
    """Return the table, made by processes of one thread each, and write the sheets as it grows."""
    rows: list[dict[str, Any]] = []
    shown: dict[str, list[tuple[str, Tensor]]] = {}
    with ProcessPoolExecutor(workers, torch.multiprocessing.get_context("spawn"), _prepare_worker) as pool:
        for trial, (row, pictures) in zip(chosen, pool.map(row_of, chosen, [count] * len(chosen)), strict=True):
            rows.append(row)
            name = f"{trial.canvas}-{trial.sampler}-{trial.steps}".replace(" ", "")
            shown.setdefault(name, []).append((trial.variant, pictures))
            if sheets:
                # After every row, so that a run that is cut short leaves its pictures.
                sheets.mkdir(parents=True, exist_ok=True)
                sheet(shown[name], sheets / f"{name}.jpg")
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="three variants, few pictures: a few minutes on two cores")
    parser.add_argument("--full", action="store_true", help="also Euler a and 50 steps")
    parser.add_argument("--few", action="store_true", help="also 4, 6 and 8 steps")
    parser.add_argument("--held", action="store_true", help="also Heun, with tiles held within a step and not")
    parser.add_argument("--pictures", type=int, default=0, help="pictures per variant")
    parser.add_argument("--only", nargs="*", default=[""], help='trials whose label holds one of these ("DDIM 20")')
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (one per core)")
    options = parser.parse_args()
    count = options.pictures or (8 if options.quick else 24)
    keep_memory()
    native = native_figures(*_tools(), count)
    progress(f"256x256: {native}")
    asked = [
        one
        for one in trials(options.quick, options.full, options.few, options.held)
        if any(part in one.label for part in options.only)
    ]
    rows = rows_of(asked, count, options.workers, options.sheets)
    if options.json:
        print(json.dumps({"native": native, "rows": rows}))
        return
    columns = ("seam", "worst", "last", "mottle", "drift", "crops", "fid_w", "things")
    print(f"{'':>44}" + "".join(f"{name:>10}" for name in columns))
    for row in rows:
        print(f"{row['label']:>44}" + "".join(f"{row[name]:10.3f}" for name in columns))


if __name__ == "__main__":
    main()
