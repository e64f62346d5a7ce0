"""InstantAS's table 2: time and memory of every method, on Small World and on UNets of Stable Diffusion's shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.report import progress
from benchmarks.tables import paper
from benchmarks.tables.bench import Bench, Section
from benchmarks.tables.cost import cost_of, peak_of, seconds_per_evaluation
from benchmarks.tables.layout import markdown_table
from benchmarks.tables.painters import tiles_at_once
from benchmarks.tables.variants import SHAPES, TABLE_1, WIDE, Shape, Variant
from benchmarks.unet import sd15_unet
from lib_instantas.hosts.staging import native_of
from lib_instantas.tiling import Size

PLANNED = {name: TABLE_1[name] for name in ("MultiDiffusion", "direct", "InstantAS")}
"""Methods that are plans alone, so that one evaluation of any UNet says what they cost."""
TIMED = ("512x1024", "512x2048")
"""Sizes that are timed on a UNet of SD 1.5's shape; the upright ones have the same tiles."""


def instantas_2(bench: Bench) -> Section:
    """Time and memory: measured on the model, timed on SD 1.5's shape, counted for SD 2.0's."""
    pictures, measured = whole_pictures(bench)
    evaluations, counted = stable_diffusion(() if bench.quick else TIMED)
    at_wide = {name: one["seconds"] for name, one in measured[bench.label(WIDE)].items()}
    text = (
        f"InstantAS is {at_wide['MultiDiffusion'] / at_wide['InstantAS']:.1f} times as fast as MultiDiffusion at its "
        f"paper's overlap at {bench.label(WIDE)}, decoding included.\n\n{evaluations}\n\nOne evaluation with guidance, "
        "the second of a run. Counted on a UNet of SD 2.0's shape in fp16: tiles, 10^12 multiply-adds, GiB of tensors "
        "alive at once besides the weights and the VAE (the paper's memory holds both). Timed on one of SD 1.5's shape "
        "in bfloat16 on this machine: time over direct's. `benchmarks.card` times whole runs on a card."
    )
    tiles = tiles_at_once(native_of(bench.sets.easel.pipeline))
    return Section(
        "instantas-2",
        "InstantAS, table 2: time and memory",
        f"Whole pictures: seconds, MiB of tensors alive at once besides the weights and the decoder (up to {tiles} "
        f"tiles at once; fewer need less).\n\n{pictures}",
        text,
        {"whole_pictures": measured, "stable_diffusion": counted},
        {f"seconds a picture at {bench.label(WIDE)}": at_wide},
    )


def whole_pictures(bench: Bench) -> tuple[str, dict[str, dict[str, dict[str, float]]]]:
    """The table of whole pictures, and its figures by size and method."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    rows: list[list[object]] = []
    for shape in (WIDE,) if bench.quick else SHAPES:
        label, variants = bench.label(shape), bench.methods(shape)
        times = {name: bench.seconds(variant, shape) for name, variant in variants.items()}
        peaks = {name: peak_of(bench.sets.easel, variant, shape) for name, variant in variants.items()}
        figures[label] = {name: {"seconds": times[name], "mebibytes": peaks[name]} for name in times}
        theirs = paper.INSTANTAS_2_SECONDS[_of_the_paper(shape)]
        for name, seconds in times.items():
            row = [f"{label} {name}", seconds, seconds / times["direct"], _ratio(theirs, name), peaks[name]]
            rows.append([*row, peaks[name] / peaks["direct"]])
    header = ["", "seconds", "to direct", "paper: to direct", "MiB", "to direct"]
    return markdown_table(header, rows), figures


def stable_diffusion(timed: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The table of one evaluation at the paper's sizes, and its figures by size and method."""
    figures: dict[str, Any] = {}
    rows: list[list[object]] = []
    for label, theirs in paper.INSTANTAS_2_SECONDS.items():
        size = _pixels(label)
        costs = {name: cost_of(variant, size) for name, variant in PLANNED.items()}
        times = _timed(PLANNED, size) if label in timed else {}
        figures[label] = {name: {**asdict(cost), "evaluation_seconds": times.get(name)} for name, cost in costs.items()}
        for name, cost in costs.items():
            counted = cost.teraflops / costs["direct"].teraflops
            memory = paper.INSTANTAS_2_GIGABYTES[label].get(name)
            row = [f"{label} {name}", cost.tiles, cost.teraflops, counted, _ratio(times, name), _ratio(theirs, name)]
            rows.append([*row, cost.gibibytes, theirs.get(name), memory])
    counts = ["", "tiles", "TMAC", "TMAC to direct", "time to direct", "paper: to direct"]
    return markdown_table([*counts, "GiB", "paper: s", "paper: GB"], rows), figures


def _timed(variants: Mapping[str, Variant], size: Size) -> dict[str, float]:
    """Seconds of one evaluation on SD 1.5's shape in bfloat16, on a GPU if there is one."""
    unet = sd15_unet(device="cuda" if torch.cuda.is_available() else "cpu", dtype=torch.bfloat16)
    times = {name: seconds_per_evaluation(unet, variant, size, 1) for name, variant in variants.items()}
    progress(f"SD 1.5's shape at {size[1]}x{size[0]}: {times}")
    return times


def _ratio(seconds: Mapping[str, float], name: str) -> float | None:
    return seconds[name] / seconds["direct"] if {"direct", name} <= seconds.keys() else None


def _pixels(label: str) -> Size:
    height, width = label.split("x")
    return int(height), int(width)


def _of_the_paper(shape: Shape) -> str:
    """The paper's name for a shape, with its model of 512x512."""
    return f"{512 * shape[0]}x{512 * shape[1]}"
