"""The papers' tables on Small World, side by side with the papers: `python -m benchmarks.tables [--quick] [--json]`.

InstantAS's tables 1 to 3, GVCF's tables 1 and 2 with its figures 3 and 5, FSTD's table 4, ScaleCrafter's tables 1 and 4
and two of the field since (`--only field outside`), with fixed prompts and seeds and, as an outside peer on the same
weights, diffusers' panorama pipeline. Writes docs/benchmarks.md with charts and pictures (`--output`). `--quick` makes
few pictures at one size. A machine with a CUDA GPU adds absolute times at the paper's five sizes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality import scenes
from benchmarks.report import arguments, progress, result
from benchmarks.tables.bench import Bench, Section
from benchmarks.tables.pictures import OWN_PICTURES, TILE_BATCH, Easel, PictureSets
from benchmarks.tables.sections import SECTIONS, sections
from small_world import CHECKPOINT
from small_world.judge import load_judge
from small_world.progress import keep_memory

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
PICTURES = "pictures/benchmarks"


def main() -> None:
    """Make the pictures, measure them, write the document."""
    options = _options()
    keep_memory()
    easel = Easel(options.model, options.device, options.workers, options.keep)
    sets = PictureSets(easel, scenes(options.pictures, bare=True), options.steps)
    bench = Bench(sets, load_judge(), quick=options.quick)
    started = time.monotonic()
    done = [section for make in sections(options.only) if (section := _made(make, bench)) is not None]
    folder = options.output.parent
    options.output.write_text(_document(done, options, folder), encoding="utf-8")
    figures = {section.key: section.figures for section in done}
    result({**_setting(options), "seconds": time.monotonic() - started, "tables": figures}, options.json)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="few pictures, few steps, one size")
    parser.add_argument("--pictures", type=int, default=0, help="pictures per row (default 24, quick 4)")
    parser.add_argument("--steps", type=int, default=0, help="sampler steps (default 20, quick 8)")
    parser.add_argument("--only", nargs="*", default=[], metavar="TABLE", help="keys of the tables to make")
    parser.add_argument("--model", type=Path, default=CHECKPOINT, help="checkpoint of Small World")
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="Markdown file to write")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes of one thread (a GPU: 1, else one per core)")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep pictures there; a run cut short goes on from them"
    )
    options = parser.parse_args()
    options.workers = options.workers or (1 if options.device == "cuda" else os.cpu_count() or 1)
    options.pictures = options.pictures or (4 if options.quick else 24)
    options.steps = options.steps or (8 if options.quick else 20)
    return options


def _made(make: Callable[[Bench], Section | None], bench: Bench) -> Section | None:
    section = make(bench)
    if section is not None:
        progress(f"{section.title}\n{section.table}\n")
    return section


def _setting(options: argparse.Namespace) -> dict[str, Any]:
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU, one thread a picture"
    return {"pictures": options.pictures, "steps": options.steps, "device": device}


def _document(done: list[Section], options: argparse.Namespace, folder: Path) -> str:
    setting = _setting(options)
    intro = (
        "# The papers' tables on Small World\n\n"
        "Written by `python -m benchmarks.tables" + (" --quick" if options.quick else "") + "`"
        f": {setting['pictures']} pictures a row of scenes without things, DDIM, {setting['steps']} steps, bfloat16, "
        f"{setting['device']}, up to {TILE_BATCH} tiles at once. "
        "Small World knows 256x256 pixels, half of what the papers' models know, so every size here is half of theirs. "
        "Sizes in tables are height x width, as in the papers.\n\n"
        "**FID-W** is the Frechet distance of 256x256 crops to the model's own pictures of the same scenes, "
        f"{OWN_PICTURES} of each (as in the papers), in the features of a judge trained on drawn scenes; **±** half of "
        "its 95 % interval over scenes; **KID-W** the unbiased kernel distance in the same features; **prompt** the "
        "share of crops whose place and time are the prompt's; **seam** the step across the resting grid's lines over "
        "that across other multiples of 8 pixels; **seconds** the median time that computing one picture takes, "
        "decoding included. Rows begin with the same noise, so a difference of two is known better than either: two "
        "rows are told apart where the 95 % interval of their difference, scenes drawn anew for both alike, leaves "
        "out zero. The papers' FID is another measure on another model: only the order can be compared.\n"
    )
    left_out = [key for key in SECTIONS if key not in {section.key for section in done}]
    if left_out:
        intro += f"\nNot made in this run: {', '.join(left_out)} (`--only {' '.join(left_out)}`).\n"
    return "\n".join([intro, *(section.markdown(folder, PICTURES) for section in done)])


if __name__ == "__main__":
    main()
