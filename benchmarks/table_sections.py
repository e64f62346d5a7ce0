"""The tables themselves: which variants, which measures, which of the papers' figures stand beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks import table_paper as paper
from benchmarks.per_tile_noise import KINDS
from benchmarks.table_cost import STEPS, cost_of, seconds_on_gpu
from benchmarks.table_layout import bar_chart, contact_sheet, markdown_table
from benchmarks.table_measures import Difference, Judged, Quality, as_tensor, compare, features_of, measure
from benchmarks.table_pictures import Studio
from benchmarks.table_variants import (
    ALIGNMENT,
    INSTANTAS,
    MULTIDIFFUSION,
    MULTIDIFFUSIONS,
    OFFSETS,
    SIZES,
    STRIDES,
    TABLE_1,
    TABLE_3,
    WIDE,
    Variant,
)
from benchmarks.variance import decoded, figures, sample
from lib_instantas.tiling import Size
from small_world.judge import Judge


@dataclass
class Bench:
    """The studio, the judge, and what has been measured so far."""

    studio: Studio
    judge: Judge
    quick: bool = False
    _judged: dict[tuple[Variant, Size], Judged] = field(default_factory=dict)

    def quality(self, variant: Variant, size: Size = WIDE) -> Quality:
        """The measures of a variant's pictures."""
        return self.judged(variant, size).quality

    def judged(self, variant: Variant, size: Size = WIDE) -> Judged:
        """The measures of a variant's pictures, and what they were taken from."""
        if (variant, size) not in self._judged:
            made = self.studio.pictures(variant, size)
            self._judged[variant, size] = measure(self.judge, made.pictures, self.studio.scenes, size, self.own)
        return self._judged[variant, size]

    @cached_property
    def own(self) -> Tensor:
        """The judge's features of the model's own pictures, [scenes, pictures of each, F]."""
        features = features_of(self.judge, torch.stack([as_tensor(picture) for picture in self.studio.own()]))
        return features.unflatten(0, (len(self.studio.scenes), -1))

    def less(self, first: Variant, second: Variant, size: Size = WIDE) -> Difference:
        """The first's FID-W less the second's."""
        return compare(self.judged(first, size), self.judged(second, size), self.own)

    def order(self, variants: Mapping[str, Variant], theirs: Mapping[str, float], size: Size = WIDE) -> str:
        """How our order by FID-W differs from a paper's by FID."""
        ranked = [name for name in variants if name in theirs]
        differences = {(a, b): self.less(variants[a], variants[b], size) for a, b in combinations(ranked, 2)}
        return paper.order_sentence(differences, theirs, "FID", "FID-W")

    @property
    def methods(self) -> dict[str, Variant]:
        """The methods of InstantAS's tables 1 and 2; --quick leaves out SyncDiffusion, which takes longest by far."""
        return {name: one for name, one in TABLE_1.items() if not (self.quick and name == "SyncDiffusion")}

    def seconds(self, variant: Variant, size: Size = WIDE) -> float:
        """Mean time of one picture."""
        return self.studio.pictures(variant, size).seconds

    def first(self, variants: Mapping[str, Variant], size: Size = WIDE) -> dict[str, Image]:
        """The first picture of each variant, for a contact sheet."""
        return {name: self.studio.pictures(variant, size).pictures[0] for name, variant in variants.items()}


@dataclass(frozen=True)
class Section:
    """One table with its text, a chart and pictures; `figures` are the numbers for --json."""

    key: str
    title: str
    table: str
    text: str
    figures: dict[str, Any]
    chart: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pictures: Mapping[str, Image] = field(default_factory=dict)

    def markdown(self, folder: Path, pictures: str) -> str:
        """The section as Markdown; its images are written under folder/pictures."""
        lines = [f"## {self.title}", "", self.table, "", self.text, ""]
        if self.chart:
            bar_chart(folder / pictures / f"{self.key}.png", self.title, self.chart)
            lines += [f"![chart]({pictures}/{self.key}.png)", ""]
        if self.pictures:
            contact_sheet(folder / pictures / f"{self.key}-pictures.png", self.pictures)
            lines += [f"![the first picture of each row]({pictures}/{self.key}-pictures.png)", ""]
        return "\n".join(lines)


HEADER = ("FID-W", "±", "KID-W", "prompt", "seam")


def _cells(quality: Quality) -> list[object]:
    return [quality.fid, quality.fid_ci, quality.kid, quality.prompt, quality.seam]


def _section(
    bench: Bench,
    key: str,
    title: str,
    variants: Mapping[str, Variant],
    theirs: Mapping[str, float],
    text: str = "",
    *,
    with_time: bool = False,
    with_diversity: bool = False,
) -> Section:
    """Rows of variants at 1024x256 with the paper's FID beside them."""
    found = {name: bench.quality(variant) for name, variant in variants.items()}
    extra = [("diversity", lambda name: found[name].diversity)] if with_diversity else []
    extra += [("seconds", lambda name: bench.seconds(variants[name]))] if with_time else []
    rows = [
        [name, *_cells(quality), *(value(name) for _, value in extra), theirs.get(name)]
        for name, quality in found.items()
    ]
    return Section(
        key,
        title,
        markdown_table(["", *HEADER, *(label for label, _ in extra), "paper's FID"], rows),
        f"{bench.order(variants, theirs)} {text}".strip(),
        {name: {**asdict(quality), "seconds": bench.seconds(variants[name])} for name, quality in found.items()},
        {"FID-W": _fid(found), "seam": {name: quality.seam for name, quality in found.items()}},
        bench.first(variants),
    )


def _fid(found: Mapping[str, Quality]) -> dict[str, float]:
    return {name: quality.fid for name, quality in found.items()}


def instantas_1(bench: Bench) -> Section:
    """Methods by size."""
    sizes = {"256x1024": WIDE} if bench.quick else SIZES
    rows, numbers, sentences = [], {}, []
    for label, size in sizes.items():
        found = {name: bench.quality(variant, size) for name, variant in bench.methods.items()}
        numbers[label] = {name: asdict(quality) for name, quality in found.items()}
        theirs = paper.INSTANTAS_1[label]
        rows += [[f"{label} {name}", *_cells(quality), theirs.get(name)] for name, quality in found.items()]
        sentences.append(f"{label}: {bench.order(bench.methods, theirs, size)}")
    sync = (
        "SyncDiffusion is left out of a quick run"
        if bench.quick
        else "SyncDiffusion takes the judge's features for alike, at an overlap of a quarter"
    )
    text = (
        f"{_against_multidiffusion(bench)} {sync}; ScaleCrafter is not here. The panorama pipeline is diffusers' own, "
        "its window and stride scaled to this model."
    )
    chart = {label: {name: numbers[label][name]["fid"] for name in bench.methods} for label in sizes}
    return Section(
        "instantas-1", "InstantAS, table 1: quality by method and size",
        markdown_table(["", *HEADER, "paper's FID"], rows), " ".join([*sentences, text]), numbers, chart,
        bench.first(bench.methods),
    )  # fmt: skip


def _against_multidiffusion(bench: Bench) -> str:
    """InstantAS's FID-W at 1024x256 beside MultiDiffusion's, at its paper's overlap and at whichever is best."""
    ours = bench.quality(INSTANTAS).fid
    overlaps = {"its paper's overlap": MULTIDIFFUSION}
    if not bench.quick:
        overlaps["its best overlap here"] = min(MULTIDIFFUSIONS, key=lambda one: bench.quality(one).fid)
    beside = [
        f"{ours / bench.quality(one).fid:.2f} times MultiDiffusion's at {name} ({dict(one.settings)['overlap']:.1%}; "
        f"difference {bench.less(INSTANTAS, one)})"
        for name, one in overlaps.items()
    ]
    return f"At 256x1024, InstantAS's FID-W is {' and '.join(beside)}."


def instantas_2(bench: Bench) -> Section:
    """Time and memory: measured on Small World, counted for SD 2.0's shape, timed there on a GPU."""
    methods = {name: TABLE_1[name] for name in ("MultiDiffusion", "direct", "InstantAS")}
    sizes = {label: _pixels(label) for label in paper.INSTANTAS_2_SECONDS}
    rows: list[list[object]] = []
    numbers: dict[str, Any] = {}
    for label, size in sizes.items():
        costs = {name: cost_of(variant, size) for name, variant in methods.items()}
        gpu = seconds_on_gpu(methods, size) if torch.cuda.is_available() else {}
        numbers[label] = {name: {**asdict(cost), "gpu_seconds": gpu.get(name)} for name, cost in costs.items()}
        for name, cost in costs.items():
            ours, theirs = cost.teraflops / costs["direct"].teraflops, paper.INSTANTAS_2_SECONDS[label]
            ratio = theirs[name] / theirs["direct"] if {"direct", name} <= theirs.keys() else None
            memory = paper.INSTANTAS_2_GIGABYTES[label].get(name)
            row = [f"{label} {name}", cost.tiles, cost.teraflops, ours, cost.gibibytes, ratio, theirs.get(name), memory]
            rows.append([*row, gpu.get(name)])
    measured = {name: bench.seconds(variant) for name, variant in bench.methods.items()}
    numbers["small_world_seconds"] = measured
    header = ["", "tiles", "TMAC", "to direct", "GiB", "paper: to direct", "paper: s", "paper: GB", "GPU s"]
    ratios = ", ".join(f"{name} {value / measured['direct']:.2f}" for name, value in measured.items())
    faster = measured["MultiDiffusion"] / measured["InstantAS"]
    text = (
        f"Counted on a UNet of SD 2.0's shape in fp16, the second evaluation of a run, with guidance: tiles, 10^12 "
        f"multiply-adds, GiB of tensors alive at once besides the weights and the VAE (the paper's memory holds both). "
        f"GPU seconds are for {STEPS} steps. Measured on Small World at 256x1024, time of a whole picture over "
        f"direct's: {ratios}. InstantAS is {faster:.1f} times as fast as MultiDiffusion at its paper's overlap there, "
        "decoding included."
    )
    chart = {"seconds a picture, Small World 256x1024": measured}
    return Section(
        "instantas-2", "InstantAS, table 2: time and memory", markdown_table(header, rows), text, numbers, chart
    )


def _pixels(label: str) -> Size:
    height, width = label.split("x")
    return int(height), int(width)


def instantas_3(bench: Bench) -> Section:
    """The ablation."""
    text = (
        "Without bridging, tiles never move; without minimum cover, tiles overlap by 90 % and are averaged. The "
        "paper's settings are a ring on both axes, gamma 0.015 and native tiles; InstantAS is this program's default."
    )
    title = "InstantAS, table 3: ablation at 256x1024"
    return _section(bench, "instantas-3", title, TABLE_3, paper.INSTANTAS_3, text, with_time=True)


def gvcf_1(bench: Bench) -> Section:
    """Stride and fusion."""
    verdicts = []
    for stride in (128, 256, 384):
        less = bench.less(STRIDES[f"GF {stride}"], STRIDES[f"MD {stride}"])
        verdict = ("better" if less.value < 0 else "worse") if less.told else "not told apart"
        verdicts.append(f"{stride}: {verdict} ({less})")
    text = (
        f"Guided Fusion (GF) against MultiDiffusion (MD) at equal stride, in pixels of a 512-pixel tile: "
        f"{'; '.join(verdicts)}."
    )
    title = "GVCF, table 1: stride and fusion at 256x1024"
    return _section(bench, "gvcf-1", title, STRIDES, paper.GVCF_1, text, with_time=True)


def gvcf_2(bench: Bench) -> Section:
    """Style alignment: quality and diversity by alpha."""
    text = (
        "The paper finds quality rising and diversity falling with alpha, and chooses 0.4 (figure 5, no numbers). "
        "Diversity is the crops' mean distance from each other in the judge's features over that of the model's own "
        "pictures."
    )
    title = "GVCF, figure 5 and table 2: style alignment at 256x1024, stride 384"
    return _section(bench, "gvcf-2", title, ALIGNMENT, paper.GVCF_2, text, with_diversity=True)


def gvcf_figure_3(bench: Bench) -> Section:
    """Noise once on the canvas, per tile, and per tile corrected."""
    steps = max(20, bench.studio.steps)
    latents = {kind: sample(bench.studio.easel.pipeline, "mountains at sunset", kind, 1, steps) for kind in KINDS}
    pictures = {kind: decoded(bench.studio.easel.pipeline, value) for kind, value in latents.items()}
    found = figures(latents, pictures)
    rows: list[list[object]] = [[kind, found[f"variance, {kind}"], found[f"detail, {kind}"]] for kind in KINDS]
    text = (
        f"DDIM at eta 1, {steps} steps, MultiDiffusion's tiles at an overlap of 75 %, 256x768 pixels; variance of the "
        "latents and mean step between neighbouring pixels, over those of noise added once on the canvas. That is what "
        "the engine does, and it has the law of the paper's equation 14; averaging samples whose noise each tile drew "
        "for itself has not (equation 11: the blur of the paper's figure 3), until it is corrected."
    )
    table = markdown_table(["noise", "variance", "detail"], rows)
    title = "GVCF, figure 3: noise that each tile draws for itself"
    return Section("gvcf-figure-3", title, table, text, dict(found), pictures=pictures)


def fstd_4(bench: Bench) -> Section:
    """Offsets of tiles."""
    theirs = ", ".join(f"{name} {value:.2f}" for name, value in paper.FSTD_4_PSNR.items())
    text = (
        f"The paper enlarges faces four-fold and ranks by PSNR ({theirs}); here pictures are made from noise. Fixed "
        "means half a tile off at every second step, as the paper does not say more."
    )
    title = "Any-Size-Diffusion, table 4: how tiles overlap, at 256x1024"
    return _section(bench, "fstd-4", title, OFFSETS, paper.FSTD_4, text, with_time=True)


SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "instantas-1": instantas_1,
    "instantas-2": instantas_2,
    "instantas-3": instantas_3,
    "gvcf-1": gvcf_1,
    "gvcf-2": gvcf_2,
    "gvcf-figure-3": gvcf_figure_3,
    "fstd-4": fstd_4,
}


def sections(only: Sequence[str]) -> list[Callable[[Bench], Section]]:
    """The tables to make, all of them if none is named. Raises ValueError for one that does not exist."""
    unknown = [key for key in only if key not in SECTIONS]
    if unknown:
        raise ValueError(f"tables must be among {', '.join(SECTIONS)}, got {', '.join(unknown)}")
    return [SECTIONS[key] for key in only or SECTIONS]
