"""The picture that the README begins with: the same prompts and seeds with InstantAS and without, at three sizes.

`python -m benchmarks.showcase -o docs/pictures/with-and-without.jpg` makes it with Small World, which knows 256x256.
The first of each pair is the whole canvas at once (`direct`), the second InstantAS: tiles from noise where the picture
is only wide, composed first where it is higher than the model's own size.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lib_instantas.cli.generate import EMBEDDED_MODEL, progress_bar
from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.settings import parse_settings
from lib_instantas.sizes import parse_size
from small_world import CLOSE_UPS_LORA, RATIO_LORA

STEPS, GAP = 20, 12
COMPOSED = {
    "compose": True,
    "compose_lora": str(RATIO_LORA),
    "compose_tiles_lora": str(CLOSE_UPS_LORA),
    "compose_guidance": 2.0,
}


@dataclass(frozen=True)
class Example:
    """One prompt at one size, WIDTHxHEIGHT, with the settings of its lower picture."""

    prompt: str
    size: str
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)


EXAMPLES = (
    Example("a harbour by day", "1024x256", 5),
    Example("mountains at sunset", "512x512", 3, COMPOSED),
    Example("a forest by day", "256x1024", 5, COMPOSED),
)


def pictures(generator: Generator, example: Example) -> list[Image.Image]:
    """Return the example's pictures, without and with."""
    made = []
    for settings in ({"method": "direct"}, example.settings):
        values = parse_settings({"enabled": True, **settings})
        job = Job(example.prompt, parse_size(example.size), values, seed=example.seed, steps=STEPS)
        made.append(generator(job, on_step=progress_bar(generator.evaluations(job), example.size)).image)
    return made


def sheet(pairs: list[list[Image.Image]]) -> Image.Image:
    """Return all pairs on white: wide and square ones above each other at the left, the tall pair at the right."""
    (wide, square, tall) = pairs
    left = max(wide[0].width, 2 * square[0].width + GAP)
    height = max(tall[0].height, 2 * wide[0].height + square[0].height + 2 * GAP)
    page = Image.new("RGB", (left + 2 * (tall[0].width + GAP), height), "white")
    page.paste(wide[0], (0, 0))
    page.paste(wide[1], (0, wide[0].height + GAP))
    for index, picture in enumerate(square):
        page.paste(picture, (index * (picture.width + GAP), height - picture.height))
    for index, picture in enumerate(tall):
        page.paste(picture, (left + GAP + index * (tall[0].width + GAP), 0))
    return page


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("with-and-without.jpg"))
    options = parser.parse_args()
    generator = Generator(load_pipeline(EMBEDDED_MODEL, "cpu"))
    made = sheet([pictures(generator, example) for example in EXAMPLES])
    made.resize((made.width * 2 // 3, made.height * 2 // 3), Image.Resampling.LANCZOS).save(options.output, quality=85)


if __name__ == "__main__":
    main()
