"""`demo`: a plan and pictures of several sizes from the model that ships with the project."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_instantas.cli.generate import EMBEDDED_MODEL, progress_bar
from lib_instantas.cli.pictures import save
from lib_instantas.drawing import draw_plan
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.methods import Request
from lib_instantas.settings import parse_settings
from lib_instantas.sizes import canvas_for, parse_size
from small_world import CLOSE_UPS_LORA, RATIO_LORA


@dataclass(frozen=True)
class Show:
    """One picture of the demo: what it shows, and how it is made."""

    name: str
    prompt: str
    size: str
    settings: dict[str, Any] = field(default_factory=dict)


SHOWS = (
    Show("panorama", "a harbour by day", "1024x256"),
    Show(
        "panorama_without_bridging",
        "a harbour by day",
        "1024x256",
        {"schedule": "cyclic", "gamma": 0.0, "fit": "native"},
    ),
    Show(
        "tall",
        "a meadow by day",
        "256x1024",
        {
            "compose": True,
            "compose_lora": str(RATIO_LORA),
            "compose_tiles_lora": str(CLOSE_UPS_LORA),
            "compose_guidance": 2.0,
        },
    ),
    Show("tall_without_composing", "a meadow by day", "256x1024"),
    Show("odd_size", "a harbour at night with a lighthouse", "611x300"),
)
SEED, STEPS = 5, 20


def add_to(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("demo", help="make the demo's pictures", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the pictures (default out)")
    parser.add_argument("--device", default="cpu")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Draw the plan of the panorama, then make every picture."""
    from lib_instantas.hosts.checkpoints import load_pipeline

    options.out.mkdir(parents=True, exist_ok=True)
    generator = Generator(load_pipeline(EMBEDDED_MODEL, options.device))
    _draw_plan(options.out / "plan.png", generator.native)
    for show in SHOWS:
        job = Job(
            show.prompt,
            parse_size(show.size),
            parse_settings({"enabled": True, **show.settings}),
            seed=SEED,
            steps=STEPS,
        )
        result = generator(job, on_step=progress_bar(generator.evaluations(job), show.name))
        print(save(result, options.out / f"{show.name}.png"))


def _draw_plan(file: Path, native: int) -> None:
    settings = parse_settings({"enabled": True})
    draw_plan(Request(canvas_for(parse_size(SHOWS[0].size)), native, settings, SEED, STEPS)).save(file)
    print(file)
