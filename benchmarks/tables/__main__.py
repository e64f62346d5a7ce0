"""The papers' tables, side by side with the papers: `python -m benchmarks.tables [--quick] [--json]`.

InstantAS's tables 1 to 3, GVCF's tables 1 and 2 with its figures 3 and 5, FSTD's table 4, ScaleCrafter's tables 1 and 4
and two of the field since (`--only field outside`), with fixed prompts and seeds and, as an outside peer on the same
weights, diffusers' panorama pipeline. Each table becomes a file in docs/tables (`--output`). `--quick` makes few
pictures in one shape. A machine with a CUDA GPU adds absolute times at the paper's five sizes.

The model is Small World. `--model sd15.safetensors`, or any other SD 1.x, 2.x or SDXL checkpoint or diffusers folder,
makes the same tables at the model's own sizes with the prompts in benchmarks/tables/prompts (`--prompts` names another
file), 50 steps and guidance 7.5 as in InstantAS's paper. What Small World's judge says is left out then, and the
outside judge takes its place: pip install -e ".[benchmark]". `--clip FOLDER`, a CLIP of transformers, adds its score.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch

from benchmarks.outside_judge import is_here
from benchmarks.report import arguments, progress, result
from benchmarks.tables.bench import Bench
from benchmarks.tables.clip import Clip
from benchmarks.tables.document import Setting, write, write_measures
from benchmarks.tables.measures import critics_of_any_model, critics_of_small_world
from benchmarks.tables.painters import is_small_world, tiles_at_once
from benchmarks.tables.pictures import Easel, PictureSets
from benchmarks.tables.sections import sections
from benchmarks.tables.subjects import Listed, Source, small_world
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.staging import native_of
from small_world import CHECKPOINT
from small_world.judge import load_judge
from small_world.progress import keep_memory

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs" / "tables"


def main() -> None:
    """Make the pictures, measure them, write the tables."""
    parser = _parser()
    options = _completed(parser.parse_args())
    keep_memory()
    easel = Easel(options.model, options.device, options.workers, options.keep)
    try:
        chosen = sections(options.only)
        bench, setting = _bench(easel, options), _setting(easel, options)
    except (SettingsError, ValueError) as reason:
        parser.error(str(reason))
    write_measures(options.output, easel.is_small_world, bench.critics.clip is not None)
    started, figures = time.monotonic(), {}
    for make in chosen:
        bench.left_out.clear()
        section = make(bench)
        if section is not None:
            progress(f"{section.title}\n{section.table}\n")
            write(options.output, section, setting, bench.left_out)
            figures[section.key] = section.figures
    seconds = time.monotonic() - started
    result({**vars(setting), "seconds": seconds, "tables": figures}, options.json)


def _bench(easel: Easel, options: argparse.Namespace) -> Bench:
    clip = Clip(options.clip) if options.clip else None
    if easel.is_small_world and options.prompts:
        raise ValueError(f"prompts must be left out with Small World, which knows its own, got {options.prompts}")
    if not easel.is_small_world and not is_here():
        raise ValueError(
            f"model must be Small World where the outside judge is not installed, got {options.model}: "
            'pip install -e ".[benchmark]"'
        )
    judging = critics_of_small_world(load_judge(), clip) if easel.is_small_world else critics_of_any_model(clip)
    source = small_world if easel.is_small_world else _listed(options.prompts)
    return Bench(PictureSets(easel, source(options.pictures, False), options.steps), judging, source, options.quick)


def _listed(prompts: Path | None) -> Source:
    return Listed(prompts, prompts) if prompts else Listed()


def _setting(easel: Easel, options: argparse.Namespace) -> Setting:
    shown = {
        "model": None if easel.is_small_world else options.model.name,
        "clip": options.clip,
        "pictures": None if options.pictures == _pictures(options.quick) else options.pictures,
    }
    return Setting(
        model="Small World" if easel.is_small_world else _name_of(options.model),
        pictures=options.pictures,
        steps=options.steps,
        guidance=easel.guidance,
        device=torch.cuda.get_device_name() if options.device == "cuda" else "CPU, one thread a picture",
        tiles=tiles_at_once(native_of(easel.pipeline)),
        options="".join(f" --{name} {value}" for name, value in shown.items() if value) + " --quick" * options.quick,
    )


def _parser() -> argparse.ArgumentParser:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="few pictures, few steps, one shape")
    parser.add_argument("--pictures", type=int, default=0, help="pictures per row (default 24, quick 4)")
    parser.add_argument("--steps", type=int, default=0, help="sampler steps (Small World 20, others 50, quick 8)")
    parser.add_argument("--only", nargs="*", default=[], metavar="TABLE", help="keys of the tables to make")
    parser.add_argument("--model", type=Path, default=CHECKPOINT, help="checkpoint or diffusers folder")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="a prompt a line, for another model")
    parser.add_argument("--clip", metavar="FOLDER", help="a CLIP of transformers, folder or name: adds CLIP scores")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where the tables are written (docs/tables)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes of one thread (a GPU: 1, else one per core)")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep pictures there; a run cut short goes on from them"
    )
    return parser


def _completed(options: argparse.Namespace) -> argparse.Namespace:
    """With what was left out. Another model has files of its own, so that nothing is taken for Small World's."""
    own = is_small_world(options.model)
    options.workers = options.workers or (1 if options.device == "cuda" else os.cpu_count() or 1)
    options.pictures = options.pictures or _pictures(options.quick)
    options.steps = options.steps or (8 if options.quick else 20 if own else 50)
    options.output = options.output or (DOCUMENTS if own else Path(f"tables-{_name_of(options.model)}"))
    if options.keep and not own:
        options.keep /= _name_of(options.model)
    return options


def _pictures(quick: bool) -> int:
    return 4 if quick else 24


def _name_of(model: Path) -> str:
    return model.name if model.is_dir() else model.stem


if __name__ == "__main__":
    main()
