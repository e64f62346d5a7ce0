"""The tables themselves: which variants, which measures, which of the papers' figures stand beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.outside_judge import is_here
from benchmarks.report import progress
from benchmarks.tables import paper
from benchmarks.tables.bench import Bench, Section
from benchmarks.tables.layout import markdown_table
from benchmarks.tables.measures import Quality, compare_seams, kernel_distance
from benchmarks.tables.outside import outside
from benchmarks.tables.per_tile_noise import KINDS
from benchmarks.tables.scalecrafter import scalecrafter_1, scalecrafter_4
from benchmarks.tables.time import instantas_2
from benchmarks.tables.variance import decoded, figures, sample
from benchmarks.tables.variants import (
    ALIGNMENT,
    CLOSE,
    FIELD,
    INSTANTAS,
    MULTIDIFFUSION,
    MULTIDIFFUSIONS,
    OFFSETS,
    SHAPES,
    STRIDES,
    TABLE_3,
    WIDE,
    Variant,
)


def _columns(bench: Bench, with_diversity: bool = False) -> dict[str, Callable[[Quality], float | None]]:
    """The columns that somebody of this bench can judge."""
    judge, clip = bench.critics.judge, bench.critics.clip
    columns: dict[str, tuple[bool, Callable[[Quality], float | None]]] = {
        bench.measured_by: (True, lambda one: one.distance),
        "±": (True, lambda one: one.interval),
        "KID-W": (judge is not None, lambda one: one.kid),
        "prompt": (judge is not None, lambda one: one.prompt),
        "CLIP": (clip is not None, lambda one: one.clip),
        "seam": (True, lambda one: one.seam),
        "diversity": (judge is not None and with_diversity, lambda one: one.diversity),
    }
    return {name: value for name, (is_there, value) in columns.items() if is_there}


def _section(
    bench: Bench,
    key: str,
    title: str,
    rows: Mapping[str, Variant],
    theirs: Mapping[str, float],
    text: str = "",
    *,
    with_time: bool = False,
    with_diversity: bool = False,
) -> Section:
    """Rows of variants, wide pictures, with the paper's FID beside them."""
    variants = bench.possible(rows)
    found = {name: bench.quality(variant) for name, variant in variants.items()}
    columns = _columns(bench, with_diversity)
    cells = [
        [
            name,
            *(value(quality) for value in columns.values()),
            *([bench.seconds(variants[name])] if with_time else []),
            *([theirs.get(name)] if theirs else []),
        ]
        for name, quality in found.items()
    ]
    header = ["", *columns, *(["seconds"] if with_time else []), *(["paper's FID"] if theirs else [])]
    order = bench.order(variants, theirs) if theirs else ""
    return Section(
        key,
        f"{title} at {bench.label(WIDE)}",
        markdown_table(header, cells),
        f"{order} {text}".strip(),
        {name: {**asdict(quality), "seconds": bench.seconds(variants[name])} for name, quality in found.items()},
        {bench.measured_by: _distances(found), "seam": {name: quality.seam for name, quality in found.items()}},
        bench.first(variants),
    )


def _distances(found: Mapping[str, Quality]) -> dict[str, float]:
    return {name: quality.distance for name, quality in found.items()}


def instantas_1(bench: Bench) -> Section:
    """Methods by shape."""
    shapes = (WIDE,) if bench.quick else SHAPES
    columns = _columns(bench)
    rows: list[list[object]] = []
    numbers: dict[str, dict[str, Any]] = {}
    sentences = []
    for shape in shapes:
        label, variants, theirs = bench.label(shape), bench.methods(shape), paper.INSTANTAS_1[shape]
        found = {name: bench.quality(variant, shape) for name, variant in variants.items()}
        numbers[label] = {name: asdict(quality) for name, quality in found.items()}
        for name, quality in found.items():
            rows.append([f"{label} {name}", *(value(quality) for value in columns.values()), theirs.get(name)])
        sentences.append(f"{label}: {bench.order(variants, theirs, shape)}")
    sync = (
        "SyncDiffusion is left out of a quick run"
        if bench.quick
        else f"SyncDiffusion was made in one size, at an overlap of a quarter; {_alike()}"
    )
    text = (
        f"{_against_multidiffusion(bench)} {sync}. ScaleCrafter has a table of its own: what is as high as the model "
        "knows, it leaves to the model. The panorama pipeline is diffusers' own, its window and stride scaled to this "
        "model."
    )
    chart = {
        label: {name: figures["distance"] for name, figures in of_size.items()} for label, of_size in numbers.items()
    }
    return Section(
        "instantas-1", "InstantAS, table 1: quality by method and size",
        markdown_table(["", *columns, "paper's FID"], rows), " ".join([*sentences, text]), numbers, chart,
        bench.first(bench.methods(WIDE)),
    )  # fmt: skip


def _alike() -> str:
    if is_here():
        return "what is alike for it, EfficientNet-Lite0 says in place of LPIPS's network"
    return "what is alike for it, the means and spreads of colours say in place of LPIPS"


def _against_multidiffusion(bench: Bench) -> str:
    """InstantAS's wide pictures beside MultiDiffusion's, at its paper's overlap and at whichever is best."""
    ours = bench.quality(INSTANTAS).distance
    overlaps = {"its paper's overlap": MULTIDIFFUSION}
    if not bench.quick:
        overlaps["its best overlap here"] = min(MULTIDIFFUSIONS, key=lambda one: bench.quality(one).distance)
    beside = [
        f"{ours:.3g} against {bench.quality(one).distance:.3g} of MultiDiffusion at {name} "
        f"({dict(one.settings)['overlap']:.1%}; differences: {bench.beside(INSTANTAS, one)})"
        for name, one in overlaps.items()
    ]
    return f"At {bench.label(WIDE)}, InstantAS's {bench.measured_by} is {' and '.join(beside)}."


def instantas_3(bench: Bench) -> Section:
    """The ablation."""
    text = (
        "Without bridging, tiles never move; without minimum cover, tiles overlap by 90 % and are averaged. The "
        "paper's settings are a ring on both axes, gamma 0.015 and native tiles; InstantAS is this program's default."
    )
    return _section(
        bench, "instantas-3", "InstantAS, table 3: ablation", TABLE_3, paper.INSTANTAS_3, text, with_time=True
    )


def gvcf_1(bench: Bench) -> Section:
    """Stride and fusion."""
    verdicts = []
    for stride in (128, 256, 384):
        guided, mean = STRIDES[f"GF {stride}"], STRIDES[f"MD {stride}"]
        less = bench.less(guided, mean)
        verdict = ("better" if less.value < 0 else "worse") if less.told else "not told apart"
        verdicts.append(f"{stride}: {verdict} ({bench.beside(guided, mean)})")
    text = (
        f"Guided Fusion (GF) against MultiDiffusion (MD) at equal stride, in pixels of a 512-pixel tile: "
        f"{'; '.join(verdicts)}."
    )
    return _section(bench, "gvcf-1", "GVCF, table 1: stride and fusion", STRIDES, paper.GVCF_1, text, with_time=True)


def close(bench: Bench) -> Section:
    """What needs more pictures than the other tables: better, worse, or how small the difference is."""
    rows, best = bench.possible(CLOSE), "MultiDiffusion, 25 %"
    pairs = [(name, one, bench.less(one, rows[best])) for name, one in rows.items() if name != best]
    said = [f"{name}'s {bench.measured_by} less {best}'s: {less.verdict}." for name, _, less in pairs]
    if bench.critics.judge is not None:
        kid = {name: bench.less(one, rows[best], WIDE, kernel_distance) for name, one, _ in pairs}
        said += [f"{name}'s KID-W less that: {less.verdict}." for name, less in kid.items()]
    seams = {name: compare_seams(bench.judged(one), bench.judged(rows[best])) for name, one, _ in pairs}
    said += [f"{name}'s seam less that: {less.verdict}." for name, less in seams.items()]
    text = (
        f"{' '.join(said)} An overlap of 25 % is the stride of 384 pixels of 512, at which MultiDiffusion has its "
        f"lowest {bench.measured_by} of all strides (gvcf-1)."
    )
    return _section(bench, "close", "What 24 pictures do not tell apart,", CLOSE, {}, text, with_time=True)


def gvcf_2(bench: Bench) -> Section:
    """Style alignment: quality and diversity by alpha."""
    text = (
        "The paper finds quality rising and diversity falling with alpha, and chooses 0.4 (figure 5, no numbers). "
        "Diversity is the crops' mean distance from each other in the judge's features over that of the model's own "
        "pictures."
    )
    title = "GVCF, figure 5 and table 2: style alignment, stride 384,"
    return _section(bench, "gvcf-2", title, ALIGNMENT, paper.GVCF_2, text, with_diversity=True)


def gvcf_figure_3(bench: Bench) -> Section | None:
    """Noise once on the canvas, per tile, and per tile corrected."""
    pipeline, guidance = bench.sets.easel.pipeline, bench.sets.easel.guidance
    if hasattr(pipeline, "text_encoder_2"):
        progress("gvcf-figure-3 is left out: its sampler is written for SD 1.x and 2.x")
        return None
    steps = max(20, bench.sets.steps)
    latents = {kind: sample(pipeline, "mountains at sunset", kind, 1, steps, guidance) for kind in KINDS}
    pictures = {kind: decoded(pipeline, value) for kind, value in latents.items()}
    found = figures(latents, pictures)
    rows: list[list[object]] = [[kind, found[f"variance, {kind}"], found[f"detail, {kind}"]] for kind in KINDS]
    text = (
        f"DDIM at eta 1, {steps} steps, MultiDiffusion's tiles at an overlap of 75 %, {bench.label((1, 3))} pixels; "
        "variance of the latents and mean step between neighbouring pixels, over those of noise added once on the "
        "canvas. That is what the engine does, and it has the law of the paper's equation 14; averaging samples whose "
        "noise each tile drew for itself has not (equation 11: the blur of the paper's figure 3), until corrected."
    )
    table = markdown_table(["noise", "variance", "detail"], rows)
    title = "GVCF, figure 3: noise that each tile draws for itself"
    return Section("gvcf-figure-3", title, table, text, dict(found), pictures=pictures)


def fstd_4(bench: Bench) -> Section:
    """Offsets of tiles."""
    theirs = ", ".join(f"{name} {value:.2f}" for name, value in paper.FSTD_4_PSNR.items())
    text = (
        f"The paper enlarges faces four-fold and ranks by PSNR ({theirs}); here pictures are made from noise. Fixed "
        "means half a tile off at every second step, as the paper does not say more. Where no tile lies, the latent "
        "stays, as in the paper; in the last row it is stepped with its last prediction."
    )
    title = "Any-Size-Diffusion, table 4: how tiles overlap"
    return _section(bench, "fstd-4", title, OFFSETS, paper.FSTD_4, text, with_time=True)


def field(bench: Bench) -> Section:
    """Methods of later papers beside InstantAS and MultiDiffusion, each with the same tiles."""
    pairs = {
        "SpotDiffusion": "InstantAS",
        "TwinDiffusion, 75 %": "MultiDiffusion, 75 %",
        "Merge-Attend-Diffuse, 75 %": "MultiDiffusion, 75 %",
        "SaFa*, 20 %": "MultiDiffusion, 20 %",
        "SaFa, 20 %": "SaFa*, 20 %",
        "DemoFusion, 50 %": "InstantAS",
    }
    rows = bench.possible(FIELD)
    less = "".join(
        f"\n- {one} less {other}: {bench.beside(rows[one], rows[other])}"
        for one, other in pairs.items()
        if rows.keys() >= {one, other}
    )
    text = (
        "Each method has its paper's overlap, and stands beside what it sets out to improve with the same tiles; SaFa* "
        f"is its interleaving without the reference view. Differences:\n{less}"
    )
    return _section(bench, "field", "The field since,", FIELD, {}, text, with_time=True)


SECTIONS: dict[str, Callable[[Bench], Section | None]] = {
    "instantas-1": instantas_1,
    "instantas-2": instantas_2,
    "instantas-3": instantas_3,
    "gvcf-1": gvcf_1,
    "gvcf-2": gvcf_2,
    "gvcf-figure-3": gvcf_figure_3,
    "close": close,
    "fstd-4": fstd_4,
    "field": field,
    "outside": outside,
    "scalecrafter-1": scalecrafter_1,
    "scalecrafter-4": scalecrafter_4,
}


def sections(only: Sequence[str]) -> list[Callable[[Bench], Section | None]]:
    """The tables to make, all of them if none is named. Raises ValueError for one that does not exist."""
    unknown = [key for key in only if key not in SECTIONS]
    if unknown:
        raise ValueError(f"tables must be among {', '.join(SECTIONS)}, got {', '.join(unknown)}")
    return [SECTIONS[key] for key in only or SECTIONS]
