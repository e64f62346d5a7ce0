"""The papers' figures that the tables stand beside, and where the order of ours differs from theirs."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.tables.measures import Difference

INSTANTAS_1 = {
    (1, 2): {"MultiDiffusion": 23.62, "direct": 22.34, "ElasticDiffusion": 61.20, "SyncDiffusion": 20.19,
                "ScaleCrafter": 21.36, "InstantAS": 20.58},
    (1, 4): {"MultiDiffusion": 25.43, "direct": 24.98, "ElasticDiffusion": 63.38, "SyncDiffusion": 25.17,
                 "ScaleCrafter": 25.10, "InstantAS": 23.19},
    (2, 1): {"MultiDiffusion": 39.92, "direct": 37.03, "ElasticDiffusion": 81.67, "SyncDiffusion": 38.93,
                "ScaleCrafter": 37.21, "InstantAS": 37.69},
    (4, 1): {"MultiDiffusion": 42.95, "direct": 39.84, "ElasticDiffusion": 67.11, "SyncDiffusion": 40.18,
                 "ScaleCrafter": 39.92, "InstantAS": 37.19},
}  # fmt: skip
"""FID by height and width in sides of the model's own pictures (InstantAS, table 1)."""

INSTANTAS_2_SECONDS = {
    "512x1024": {"MultiDiffusion": 12.9, "direct": 5.5, "ElasticDiffusion": 48.2, "SyncDiffusion": 93.8,
                 "ScaleCrafter": 6.4, "InstantAS": 3.4},
    "512x2048": {"MultiDiffusion": 27.5, "direct": 11.5, "ElasticDiffusion": 54.7, "SyncDiffusion": 151.3,
                 "ScaleCrafter": 16.7, "InstantAS": 7.1},
    "1024x512": {"MultiDiffusion": 13.4, "direct": 6.1, "ElasticDiffusion": 48.6, "SyncDiffusion": 97.2,
                 "ScaleCrafter": 6.7, "InstantAS": 3.8},
    "2048x512": {"MultiDiffusion": 28.2, "direct": 13.2, "ElasticDiffusion": 55.8, "SyncDiffusion": 159.9,
                 "ScaleCrafter": 17.1, "InstantAS": 7.2},
    "4096x4096": {"MultiDiffusion": 4829.7, "ElasticDiffusion": 172.8, "SyncDiffusion": 30159.9, "InstantAS": 47.3},
}  # fmt: skip
"""Seconds of 50 steps on an RTX 4090 (InstantAS, table 2)."""

INSTANTAS_2_GIGABYTES = {
    "512x1024": {"MultiDiffusion": 10.8, "direct": 10.0, "InstantAS": 9.8},
    "512x2048": {"MultiDiffusion": 12.9, "direct": 12.8, "InstantAS": 12.8},
    "1024x512": {"MultiDiffusion": 10.8, "direct": 10.1, "InstantAS": 10.0},
    "2048x512": {"MultiDiffusion": 12.9, "direct": 12.6, "InstantAS": 12.9},
    "4096x4096": {"MultiDiffusion": 21.4, "InstantAS": 19.2},
}
"""Memory in all, weights included (InstantAS, table 2)."""

INSTANTAS_3 = {"direct": 23.17, "without minimum cover": 24.34, "without bridging": 103.62, "InstantAS": 22.66}
"""FID at 512x2048 (InstantAS, table 3)."""

GVCF_1 = {"MD 128": 20.60, "GF 128": 17.64, "MD 256": 17.32, "GF 256": 15.99, "MD 384": 15.55, "GF 384": 14.88}
"""FID by stride in pixels (GVCF, table 1)."""

GVCF_2 = {"MD + SA 0": 11.22, "GF + SA 0": 10.71, "MD + SA 0.4": 10.82, "GF + SA 0.4": 10.40}
"""FID with DDIM (GVCF, table 2)."""

SCALECRAFTER_1 = {"direct": 29.30, "ScaleCrafter": 24.93}
"""FID to the model's own pictures, SD 1.5 at 4 times its area (ScaleCrafter, table 1)."""

SCALECRAFTER_4 = {
    "direct": 106.70,
    "ScaleCrafter": 78.22,
    "without progression": 94.90,
    "without dispersion": 106.18,
    "without noise-damping": 112.15,
}
"""FID at 16 times the area: to real pictures (ScaleCrafter, table 4), direct's to the model's own (table 1)."""

FSTD_4 = {"no overlap": 22.80, "explicit overlap": 24.15, "implicit, fixed": 21.37, "implicit, random": 22.25}
FSTD_4_PSNR = {"no overlap": 26.89, "explicit overlap": 27.49, "implicit, fixed": 26.83, "implicit, random": 27.53}
"""FID (lower is better) and PSNR (higher is better) of a four-fold enlargement (Any-Size-Diffusion, table 4)."""


def order_sentence(
    differences: Mapping[tuple[str, str], Difference], theirs: Mapping[str, float], measure: str, ours_is: str
) -> str:
    """One sentence that says which pairs stand the other way round here, lower being better in both.

    `differences` are ours, first less second, for pairs of rows; pairs that the paper does not rank are left out.
    """
    ranked = {pair: one for pair, one in differences.items() if theirs.keys() >= set(pair)}
    if not ranked:
        return f"There is nothing to compare with the paper's {measure}."
    told = {pair: one for pair, one in ranked.items() if one.told}
    swapped = [
        f"{a} before {b} ({abs(one.value):.3g} ± {one.interval:.2g})" if one.value < 0 else
        f"{b} before {a} ({abs(one.value):.3g} ± {one.interval:.2g})"
        for (a, b), one in told.items()
        if one.value * (theirs[a] - theirs[b]) < 0
    ]  # fmt: skip
    counted = f"Of {len(ranked)} pairs that the paper ranks by {measure}, {ours_is} tells {len(told)} apart"
    if not told:
        return f"{counted}."
    if not swapped:
        return f"{counted}, all in the paper's order."
    return f"{counted}, {len(told) - len(swapped)} in the paper's order; the other way round: {'; '.join(swapped)}."
