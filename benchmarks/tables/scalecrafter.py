"""ScaleCrafter's tables 1 and 4: squares of 4 and 16 times the model's area, looked at as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.measures import object_count, prompt_score
from benchmarks.quality import scenes
from benchmarks.tables import paper
from benchmarks.tables.bench import Bench, Section
from benchmarks.tables.layout import markdown_table
from benchmarks.tables.measures import Difference, as_tensor, compare, distance, features_of, kernel_distance
from benchmarks.tables.pictures import PictureSet, PictureSets
from benchmarks.tables.variants import DILATED, DILATED_4X, DILATED_16X, LARGE_SQUARE, SQUARE
from small_world import NATIVE
from small_world.judge import Judge
from small_world.scene import Scene

MEASURES = (
    f"**FID-B** is the Frechet distance of whole pictures, shrunk to {NATIVE}x{NATIVE}, to the model's own, as in the "
    "paper; **prompt** the share whose place and time are the prompt's; **things** how often the thing of the prompt "
    "is seen on a shrunk picture (1 is wanted)."
)
LEVELS = "Two of Small World's three levels are dilated; the paper dilates the deepest of four at this factor."


def scalecrafter_1(bench: Bench) -> Section:
    """direct, ScaleCrafter and tiles, each picture shrunk to the size that the model knows."""
    others = _with_things(bench, len(bench.sets.scenes))
    sets = {name: others.sets.pictures(variant, SQUARE) for name, variant in DILATED.items()}
    figures, features = whole_pictures(others, sets)
    less = differences(features, others.own)
    rows = [[name, *one.values(), paper.SCALECRAFTER_1.get(name)] for name, one in figures.items()]
    order = paper.order_sentence(less, paper.SCALECRAFTER_1, "FID", "FID-B")
    return Section(
        "scalecrafter-1",
        "ScaleCrafter, table 1: 512x512, four times the model's area",
        markdown_table([*COLUMNS, "paper's FID"], rows),
        f"{order} direct's FID-B less ScaleCrafter's is {less['direct', 'ScaleCrafter']}. {MEASURES} {LEVELS}",
        figures,
        pictures={name: side_by_side(made.pictures[:4]) for name, made in sets.items()},
    )


def scalecrafter_4(bench: Bench) -> Section:
    """The ablation, at 4 and at 16 times the model's area; the larger one of a sixth as many pictures."""
    count = len(bench.sets.scenes)
    figures: dict[str, Any] = {}
    rows: list[list[object]] = []
    sentences: list[str] = []
    shown: dict[str, Image.Image] = {}
    for label, size, variants, pictures in (
        ("4x", SQUARE, DILATED_4X, count),
        ("16x", LARGE_SQUARE, DILATED_16X, max(2, count // 6)),
    ):
        others = _with_things(bench, pictures)
        sets = {name: others.sets.pictures(variant, size) for name, variant in variants.items()}
        figures[label], features = whole_pictures(others, sets)
        less = {name: compare(one, features["ScaleCrafter"], others.own) for name, one in features.items()}
        theirs = paper.SCALECRAFTER_4 if label == "16x" else {}
        for name, one in figures[label].items():
            than_paper = None if name == "ScaleCrafter" else str(less[name])
            rows.append([f"{label} {name}", *one.values(), than_paper, theirs.get(name)])
        if theirs:
            sentences.append(
                f"{label}: {paper.order_sentence(differences(features, others.own), theirs, 'FID', 'FID-B')}"
            )
        shown |= {f"{label} {name}": side_by_side(made.pictures[:3]) for name, made in sets.items()}
    text = (
        f"{' '.join(sentences)} **less** is a row's FID-B less ScaleCrafter's, with half of its 95 % interval over "
        f"pictures. {count} pictures at 4 times the area, {max(2, count // 6)} at 16. ScaleCrafter's settings are the "
        f"paper's for a UNet of three levels (SDXL's tables 10 and 13). {MEASURES}"
    )
    title = "ScaleCrafter, table 4: ablation at 512x512 and 1024x1024, 4 and 16 times the model's area"
    table = markdown_table([*COLUMNS, "less", "paper's FID"], rows)
    return Section("scalecrafter-4", title, table, text, figures, pictures=shown)


COLUMNS = ("", "FID-B", "KID-B", "prompt", "things", "seconds")


def _with_things(bench: Bench, count: int) -> Bench:
    """A bench for the first scenes that have things in them."""
    return Bench(PictureSets(bench.sets.easel, scenes(count), bench.sets.steps), bench.judge)


def whole_pictures(
    bench: Bench, sets: Mapping[str, PictureSet]
) -> tuple[dict[str, dict[str, float]], dict[str, Tensor]]:
    """The measures of each set in the order of the table, and the features that FID-B is taken from."""
    figures: dict[str, dict[str, float]] = {}
    features: dict[str, Tensor] = {}
    for name, made in sets.items():
        values = torch.stack([shrunk(one) for one in made.pictures])
        features[name] = features_of(bench.judge, values)[:, None]
        figures[name] = {
            "fid": distance(features[name], bench.own, torch.arange(len(values))),
            "kid": kernel_distance(features[name].flatten(0, 1), bench.own.flatten(0, 1)),
            **found(bench.judge, values, bench.sets.scenes),
            "seconds": made.seconds,
        }
    return figures, features


def differences(features: Mapping[str, Tensor], own: Tensor) -> dict[tuple[str, str], Difference]:
    """By how much the FID-B of any two sets differ, of the first less of the second."""
    return {(a, b): compare(features[a], features[b], own) for a, b in combinations(features, 2)}


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
