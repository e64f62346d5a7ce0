"""`train-ratios`: a LoRA that teaches a checkpoint pictures of other ratios, for the first stage of "compose first"."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lib_instantas.settings import SettingsError
from lib_instantas.tiling import Size
from lib_instantas.training.pictures import Example, examples_in
from lib_instantas.training.ratios import PAPER, sizes_of

NEEDED = ("diffusers", "transformers", "accelerate", "peft", "safetensors", "tqdm")


def add_to(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("train-ratios", help="train a ratio LoRA for compose first", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint or diffusers folder, SD 1.x, 2.x or SDXL")
    parser.add_argument(
        "--images", type=Path, required=True, help="folder of pictures, each with its caption in a .txt"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.safetensors")
    parser.add_argument("--ratios", nargs="*", default=[], metavar="W:H", help="more ratios than the paper's nine: 1:4")
    parser.add_argument(
        "--native", type=int, default=0, metavar="PIXELS", help="side the model knows (default: its own)"
    )
    parser.add_argument("--steps", type=int, default=10_000, help="optimiser steps (default 10000, the paper's)")
    parser.add_argument("--batch", type=int, default=8, help="pictures a step (default 8)")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate (default 1e-4)")
    parser.add_argument("--rank", type=int, default=16, help="rank of the LoRA (default 16)")
    parser.add_argument(
        "--emphasis", choices=("even", "layout"), default="even", help="noise levels: even, or those that settle layout"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--state", type=Path, help="folder to go on from (default: NAME.state beside the output)")
    parser.add_argument("--sheet-every", type=int, default=500, metavar="STEPS", help="sample sheets (500; 0: none)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Check everything, then train, and write the LoRA."""
    check(options)
    from lib_instantas.hosts.checkpoints import load_pipeline
    from lib_instantas.training.latents import latents_of
    from lib_instantas.training.trainer import Plan, Trainer

    state = options.state or options.output.with_suffix(".state")
    pipeline = load_pipeline(options.model, options.device)
    sizes = sizes_of([*PAPER, *options.ratios], options.native // 8 or int(pipeline.unet.config.sample_size))
    examples = examples_in(options.images, sizes)
    print(_words(examples), file=sys.stderr)
    plan = Plan(options.steps, options.batch, options.rate, options.rank, options.seed, emphasis=options.emphasis)
    latents = latents_of(pipeline, examples, state, _bar(len(examples), "encoding"))
    trainer = Trainer(pipeline, examples, latents, plan, state / "training.pt")
    if trainer.step:
        print(f"going on after {trainer.step} steps", file=sys.stderr)
    trainer.run(_watcher(trainer, options))
    trainer.write(options.output)
    print(options.output)


def check(options: argparse.Namespace) -> None:
    """Raises SettingsError for what can be seen to be wrong before a model is loaded."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(f"train-ratios needs {', '.join(missing)}: pip install 'instantas[train]'")
    if options.output.suffix != ".safetensors":
        raise SettingsError(f"output must end in .safetensors, got {str(options.output)!r}")
    for name, least in (("steps", 1), ("batch", 1), ("rank", 1), ("sheet_every", 0)):
        if getattr(options, name) < least:
            raise SettingsError(f"{name} must be at least {least}, got {getattr(options, name)}")
    if not 0 < options.rate <= 1:
        raise SettingsError(f"rate must be above 0 and at most 1, got {options.rate:g}")
    if options.native % 64 or options.native < 0:
        raise SettingsError(f"native must be a multiple of 64 pixels, got {options.native}")
    sizes_of(options.ratios, 64)
    if not options.images.is_dir():
        raise SettingsError(f"images must be a folder, got {str(options.images)!r}")


def _words(examples: Sequence[Example]) -> str:
    counts: Counter[Size] = Counter(example.size for example in examples)
    each = ", ".join(f"{count} of {size[1]}x{size[0]}" for size, count in counts.most_common())
    return f"{len(examples)} pictures: {each}"


def _bar(total: int, name: str) -> Callable[[int], None]:
    from tqdm import tqdm

    bar = tqdm(total=total, desc=name, file=sys.stderr)

    def show(done: int) -> None:
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return show


def _watcher(trainer: Any, options: argparse.Namespace) -> Callable[[int, float], None]:
    """Draws the bar with the mean loss of late, and writes the LoRA and a sample sheet now and then."""
    from tqdm import tqdm

    bar = tqdm(total=options.steps, initial=trainer.step, desc="training", file=sys.stderr)
    mean: float | None = None

    def watch(step: int, loss: float) -> None:
        nonlocal mean
        mean = loss if mean is None else 0.98 * mean + 0.02 * loss
        bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
        bar.update(step - bar.n)
        if options.sheet_every and (step % options.sheet_every == 0 or step == options.steps):
            _write_sheet(trainer, options, step)
        if step == options.steps:
            bar.close()

    return watch


def _write_sheet(trainer: Any, options: argparse.Namespace, step: int) -> None:
    from lib_instantas.training.trainer import sheet

    folder = options.output.with_suffix(".samples")
    folder.mkdir(parents=True, exist_ok=True)
    trainer.write(folder / "latest.safetensors")
    with trainer.painting() as pipeline:
        picture = sheet(pipeline, trainer.examples, steps=20, guidance=5.0, seed=options.seed)
    picture.save(folder / f"step-{step:06d}.jpg", quality=90)
