"""The tables themselves: which variants, which measures, which of the papers' figures stand beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from benchmarks.tables import paper
from benchmarks.tables.bench import Bench, Section
from benchmarks.tables.layout import markdown_table
from benchmarks.tables.measures import Quality
from benchmarks.tables.outside import outside
from benchmarks.tables.per_tile_noise import KINDS
from benchmarks.tables.scalecrafter import scalecrafter_1, scalecrafter_4
from benchmarks.tables.time import instantas_2
from benchmarks.tables.variance import decoded, figures, sample
from benchmarks.tables.variants import (
    ALIGNMENT,
    FIELD,
    INSTANTAS,
    MULTIDIFFUSION,
    MULTIDIFFUSIONS,
    OFFSETS,
    SIZES,
    STRIDES,
    TABLE_3,
    WIDE,
    Variant,
)

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
        variants, theirs = bench.methods(label), paper.INSTANTAS_1[label]
        found = {name: bench.quality(variant, size) for name, variant in variants.items()}
        numbers[label] = {name: asdict(quality) for name, quality in found.items()}
        rows += [[f"{label} {name}", *_cells(quality), theirs.get(name)] for name, quality in found.items()]
        sentences.append(f"{label}: {bench.order(variants, theirs, size)}")
    sync = (
        "SyncDiffusion is left out of a quick run"
        if bench.quick
        else "SyncDiffusion takes the judge's features for alike, at an overlap of a quarter, and was made at one size"
    )
    text = (
        f"{_against_multidiffusion(bench)} {sync}. ScaleCrafter has a table of its own: what is as high as the model "
        "knows, it leaves to the model. The panorama pipeline is diffusers' own, its window and stride scaled to this "
        "model."
    )
    chart = {label: {name: figures["fid"] for name, figures in numbers[label].items()} for label in sizes}
    return Section(
        "instantas-1", "InstantAS, table 1: quality by method and size",
        markdown_table(["", *HEADER, "paper's FID"], rows), " ".join([*sentences, text]), numbers, chart,
        bench.first(bench.methods("256x1024")),
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
    steps = max(20, bench.sets.steps)
    latents = {kind: sample(bench.sets.easel.pipeline, "mountains at sunset", kind, 1, steps) for kind in KINDS}
    pictures = {kind: decoded(bench.sets.easel.pipeline, value) for kind, value in latents.items()}
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
        "means half a tile off at every second step, as the paper does not say more. Where no tile lies, the latent "
        "stays, as in the paper; in the last row it is stepped with its last prediction."
    )
    title = "Any-Size-Diffusion, table 4: how tiles overlap, at 256x1024"
    return _section(bench, "fstd-4", title, OFFSETS, paper.FSTD_4, text, with_time=True)


def field(bench: Bench) -> Section:
    """Methods of later papers beside InstantAS and MultiDiffusion, each with the same tiles."""
    pairs = {
        "SpotDiffusion": "InstantAS",
        "TwinDiffusion, 75 %": "MultiDiffusion, 75 %",
        "Merge-Attend-Diffuse, 75 %": "MultiDiffusion, 75 %",
        "SaFa*, 20 %": "MultiDiffusion, 20 %",
        "SaFa, 20 %": "SaFa*, 20 %",
    }
    less = ", ".join(f"{one} less {other} {bench.less(FIELD[one], FIELD[other])}" for one, other in pairs.items())
    text = (
        f"Differences of FID-W: {less}. Each method has its paper's overlap, and stands beside what it sets out to "
        "improve with the same tiles; SaFa* is its interleaving without the reference view."
    )
    title = "The field since, at 256x1024"
    return _section(bench, "field", title, FIELD, {}, text, with_time=True)


SECTIONS: dict[str, Callable[[Bench], Section | None]] = {
    "instantas-1": instantas_1,
    "instantas-2": instantas_2,
    "instantas-3": instantas_3,
    "gvcf-1": gvcf_1,
    "gvcf-2": gvcf_2,
    "gvcf-figure-3": gvcf_figure_3,
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
