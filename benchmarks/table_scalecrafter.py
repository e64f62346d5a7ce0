"""ScaleCrafter's table 1: squares of four times the model's area, looked at as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from PIL import Image
from torch import Tensor

from benchmarks import table_paper as paper
from benchmarks.measures import object_count, prompt_score
from benchmarks.quality import scenes
from benchmarks.table_bench import Bench, Section
from benchmarks.table_layout import markdown_table
from benchmarks.table_measures import as_tensor, compare, distance, features_of, kernel_distance
from benchmarks.table_pictures import PictureSet, Studio
from benchmarks.table_variants import DILATED, SQUARE
from small_world import NATIVE
from small_world.judge import Judge
from small_world.scene import Scene

TEXT = (
    f"**FID-B** is the Frechet distance of whole pictures, shrunk to {NATIVE}x{NATIVE}, to the model's own, as in the "
    "paper; **prompt** the share whose place and time are the prompt's; **things** how often the thing of the prompt "
    "is seen on a shrunk picture (1 is wanted). Two of Small World's three levels are dilated; the paper dilates the "
    "deepest of four at this factor."
)


def scalecrafter_1(bench: Bench) -> Section:
    """direct, ScaleCrafter and tiles, each picture shrunk to the size that the model knows."""
    shown = scenes(len(bench.studio.scenes))
    others = Bench(Studio(bench.studio.easel, shown, bench.studio.steps), bench.judge)
    sets = {name: others.studio.pictures(variant, SQUARE) for name, variant in DILATED.items()}
    figures, sentence = whole_pictures(others, sets)
    rows = [[name, *one.values(), paper.SCALECRAFTER_1.get(name)] for name, one in figures.items()]
    return Section(
        "scalecrafter-1",
        "ScaleCrafter, table 1: 512x512, four times the model's area",
        markdown_table(["", "FID-B", "KID-B", "prompt", "things", "seconds", "paper's FID"], rows),
        f"{sentence} {TEXT}",
        figures,
        pictures={name: side_by_side(made.pictures[:4]) for name, made in sets.items()},
    )


def whole_pictures(bench: Bench, sets: Mapping[str, PictureSet]) -> tuple[dict[str, dict[str, float]], str]:
    """The measures of each set in the order of the table, and how direct and ScaleCrafter compare."""
    figures, features = {}, {}
    for name, made in sets.items():
        values = torch.stack([shrunk(one) for one in made.pictures])
        features[name] = features_of(bench.judge, values)[:, None]
        figures[name] = {
            "fid": distance(features[name], bench.own, torch.arange(len(values))),
            "kid": kernel_distance(features[name].flatten(0, 1), bench.own.flatten(0, 1)),
            **found(bench.judge, values, bench.studio.scenes),
            "seconds": made.seconds,
        }
    pairs = combinations(sets, 2)
    less = {(a, b): compare(features[a], features[b], bench.own) for a, b in pairs}
    order = paper.order_sentence(less, paper.SCALECRAFTER_1, "FID", "FID-B")
    return figures, f"{order} direct's FID-B less ScaleCrafter's is {less['direct', 'ScaleCrafter']}."


def shrunk(picture: Image.Image) -> Tensor:
    """The whole picture at the size the model knows, [3, 256, 256]."""
    return as_tensor(picture.resize((NATIVE, NATIVE), Image.Resampling.LANCZOS))


def found(judge: Judge, pictures: Tensor, shown: Sequence[Scene]) -> dict[str, float]:
    """What the judge finds on pictures [B, 3, H, W] of these scenes."""
    score = prompt_score(judge, pictures, shown)
    counts = [object_count(judge, one[None], scene.thing or "") for one, scene in zip(pictures, shown, strict=True)]
    return {
        "prompt": float(torch.stack([score.place, score.time]).mean()),
        "things": float(torch.cat(counts).float().mean()),
    }


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size in a row."""
    width, height = pictures[0].size
    row = Image.new("RGB", (width * len(pictures), height))
    for index, picture in enumerate(pictures):
        row.paste(picture, (index * width, 0))
    return row
