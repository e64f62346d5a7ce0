"""`generate`: a picture of any size from a checkpoint, through diffusers.

`torchrun --nproc-per-node N -m lib_instantas generate ...` shares its tiles among N processes, each with a card of its
own where `--device` is cuda; the picture is the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib_instantas.cli.options import add_settings, settings_from
from lib_instantas.cli.pictures import check_output, save
from lib_instantas.hosts.standalone import SAMPLERS, Generator, Job, check_job
from lib_instantas.processes import started_by_torchrun
from lib_instantas.sizes import parse_size

EMBEDDED_MODEL = Path(__file__).resolve().parents[2] / "small_world" / "model" / "small_world.safetensors"


def add_to(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("generate", help="make a picture", description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--size", default="1024x256", help="WIDTHxHEIGHT in pixels, to the pixel (default 1024x256)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=5.0, help="CFG scale (default 5)")
    parser.add_argument("--sampler", default="Euler a", help=", ".join(SAMPLERS))
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL, help="checkpoint or diffusers folder")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument(
        "--regions", type=_text_of, default=argparse.SUPPRESS, metavar="FILE", help="JSON file of regions"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("picture.png"), help="PNG, JPEG or WebP")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make the picture and save it."""
    from lib_instantas.hosts.checkpoints import load_pipeline

    job = job_from(options)
    check_output(options.output, job.size)
    with started_by_torchrun(options.device) as (processes, device):
        generator = Generator(load_pipeline(options.model, device), processes=processes)
        generator.check(job)
        if processes.leads:
            print(save(generator(job, on_step=progress_bar(generator.evaluations(job))), options.output))
        else:
            generator(job)


def job_from(options: argparse.Namespace) -> Job:
    """The job that the options describe; raises SettingsError for one that no model could do."""
    job = Job(
        prompt=options.prompt,
        negative_prompt=options.negative_prompt,
        size=parse_size(options.size),
        settings=settings_from(options),
        seed=options.seed,
        steps=options.steps,
        guidance=options.guidance,
        sampler=options.sampler,
    )
    check_job(job)
    return job


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def progress_bar(steps: int, name: str = "") -> Callable[[int, Any], None]:
    """A callback for each step that draws a bar on stderr and ends it at 100 %."""
    from tqdm import tqdm

    bar = tqdm(total=steps, unit="step", desc=name, file=sys.stderr)

    def on_step(step: int, latents: Any) -> None:
        bar.update(min(step, steps) - bar.n)
        if step >= steps:
            bar.close()

    return on_step
