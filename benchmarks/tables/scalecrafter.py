"""ScaleCrafter's tables 1 and 4: squares of 4 and 16 times the model's area, looked at as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.horizons import horizons
from benchmarks.tables import paper
from benchmarks.tables.bench import Bench, Section
from benchmarks.tables.layout import markdown_table
from benchmarks.tables.measures import Difference, as_tensor, compare, whole
from benchmarks.tables.pictures import PictureSet, PictureSets
from benchmarks.tables.variants import (
    DILATED,
    DILATED_4X,
    DILATED_16X,
    DILATED_SMALL_WORLD,
    LARGE_SQUARE,
    SQUARE,
)

LEVELS = "Two of Small World's three levels are dilated; the paper dilates the deepest of four at this factor."


def scalecrafter_1(bench: Bench) -> Section:
    """direct, ScaleCrafter and tiles, each picture shrunk to the size that the model knows."""
    others = _with_things(bench, len(bench.sets.subjects))
    variants = others.possible(DILATED_SMALL_WORLD if bench.is_small_world else DILATED, SQUARE)
    sets = {name: others.sets.pictures(variant, SQUARE) for name, variant in variants.items()}
    figures, features = whole_pictures(others, sets)
    less = differences(others, features)
    rows: list[list[object]] = [[name, *one.values(), paper.SCALECRAFTER_1.get(name)] for name, one in figures.items()]
    measure = _measure(bench)
    order = paper.order_sentence(less, paper.SCALECRAFTER_1, "FID", measure)
    gain = f"direct's {measure} less ScaleCrafter's is {less['direct', 'ScaleCrafter']}."
    return Section(
        "scalecrafter-1",
        f"ScaleCrafter, table 1: {bench.label(SQUARE)}, four times the model's area",
        markdown_table([*_columns(bench), "paper's FID"], rows),
        f"{order} {gain}{f' {LEVELS}' if bench.is_small_world else ''}",
        figures,
        pictures={name: side_by_side(made.pictures[:4]) for name, made in sets.items()},
    )


def scalecrafter_4(bench: Bench) -> Section:
    """The ablation, at 4 and at 16 times the model's area; the larger one of a sixth as many pictures."""
    count = len(bench.sets.subjects)
    figures: dict[str, Any] = {}
    rows: list[list[object]] = []
    sentences: list[str] = []
    shown: dict[str, Image.Image] = {}
    for label, shape, variants, pictures in (
        ("4x", SQUARE, DILATED_4X, count),
        ("16x", LARGE_SQUARE, DILATED_16X, max(2, count // 6)),
    ):
        others = _with_things(bench, pictures)
        sets = {name: others.sets.pictures(one, shape) for name, one in others.possible(variants, shape).items()}
        figures[label], features = whole_pictures(others, sets)
        distance = bench.critics.eye.distance
        less = {name: compare(one, features["ScaleCrafter"], others.own, distance) for name, one in features.items()}
        theirs = paper.SCALECRAFTER_4 if label == "16x" else {}
        for name, one in figures[label].items():
            than_paper = None if name == "ScaleCrafter" else str(less[name])
            rows.append([f"{label} {name}", *one.values(), than_paper, theirs.get(name)])
        if theirs:
            order = paper.order_sentence(differences(others, features), theirs, "FID", _measure(bench))
            sentences.append(f"{label}: {order}")
        shown |= {f"{label} {name}": side_by_side(made.pictures[:3]) for name, made in sets.items()}
    text = (
        f"{' '.join(sentences)} **less** is a row's {_measure(bench)} less ScaleCrafter's, with half of its 95 % "
        f"interval over pictures. {count} pictures at 4 times the area, {max(2, count // 6)} at 16. ScaleCrafter's "
        "settings are the paper's for the model's number of levels (tables 6 and 9 for four, 10 and 13 for three)."
    )
    title = (
        f"ScaleCrafter, table 4: ablation at {bench.label(SQUARE)} and {bench.label(LARGE_SQUARE)}, 4 and 16 times the "
        "model's area"
    )
    table = markdown_table([*_columns(bench), "less", "paper's FID"], rows)
    return Section("scalecrafter-4", title, table, text, figures, pictures=shown)


def _measure(bench: Bench) -> str:
    """Name of the distance of whole pictures."""
    return bench.critics.eye.names[1]


def _columns(bench: Bench) -> list[str]:
    judged = ["KID-B", "prompt", "things"] if bench.critics.judge else []
    clip = ["CLIP"] if bench.critics.clip else []
    return ["", _measure(bench), *judged, *clip, *(["horizons"] if judged else []), "seconds"]


def _with_things(bench: Bench, count: int) -> Bench:
    """A bench for the first subjects that have things in them."""
    sets = PictureSets(bench.sets.easel, bench.source(count, True), bench.sets.steps)
    return replace(bench, sets=sets, _judged={})


def whole_pictures(
    bench: Bench, sets: Mapping[str, PictureSet]
) -> tuple[dict[str, dict[str, float]], dict[str, Tensor]]:
    """The measures of each set in the order of the table, and the features that the eye's distance is taken from."""
    figures: dict[str, dict[str, float]] = {}
    features: dict[str, Tensor] = {}
    for name, made in sets.items():
        values = torch.stack([shrunk(one, bench.sets.easel.side) for one in made.pictures])
        figures[name], features[name] = whole(bench.critics, values, bench.sets.subjects, bench.own)
        if bench.critics.judge is not None:
            seen = zip(made.pictures, bench.sets.subjects.scenes, strict=True)
            figures[name]["horizons"] = fmean(horizons(as_tensor(one), scene) for one, scene in seen)
        figures[name]["seconds"] = made.seconds
    return figures, features


def differences(bench: Bench, features: Mapping[str, Tensor]) -> dict[tuple[str, str], Difference]:
    """By how much the distances of any two sets differ, of the first less of the second."""
    distance = bench.critics.eye.distance
    return {(a, b): compare(features[a], features[b], bench.own, distance) for a, b in combinations(features, 2)}


def shrunk(picture: Image.Image, side: int) -> Tensor:
    """The whole picture at the size the model knows, [3, side, side]."""
    return as_tensor(picture.resize((side, side), Image.Resampling.LANCZOS))


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size in a row."""
    width, height = pictures[0].size
    row = Image.new("RGB", (width * len(pictures), height))
    for index, picture in enumerate(pictures):
        row.paste(picture, (index * width, 0))
    return row
