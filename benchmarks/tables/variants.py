"""Which settings stand behind each row of the tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Variant:
    """One way to make a picture: settings of the engine, or a pipeline of somebody else's (`peer`).

    `change` is what the row changes about the method that users cannot (`tables.changes`).
    """

    settings: tuple[tuple[str, Any], ...] = ()
    peer: str = ""
    change: str = ""

    def described(self) -> str:
        """The settings in words, for the row's small print."""
        return ", ".join(f"{name} {value}" for name, value in self.settings) or self.peer


def engine(method: str, **settings: Any) -> Variant:
    """A method of the engine."""
    return Variant((("method", method), *settings.items()))


PAPER_OVERLAP = 0.875
"""MultiDiffusion's own stride of 8 latent pixels of 64, as a share of a tile (InstantAS, section 3.1)."""

DIRECT = engine("direct")
INSTANTAS = engine("InstantAS")
NO_BRIDGING = engine("InstantAS", schedule="cyclic", gamma=0.0, fit="native")
PAPER_BRIDGING = engine("InstantAS", schedule="cyclic", gamma=0.015, edges="ring", fit="native")
MULTIDIFFUSION = engine("MultiDiffusion", overlap=PAPER_OVERLAP)
PANORAMA = Variant(peer="diffusers StableDiffusionPanoramaPipeline")

TABLE_1 = {
    "MultiDiffusion": MULTIDIFFUSION,
    "direct": DIRECT,
    "ElasticDiffusion": engine("ElasticDiffusion", overlap=0.5),
    "SyncDiffusion": engine("SyncDiffusion", overlap=0.25),
    "InstantAS": INSTANTAS,
    "Panorama pipeline": PANORAMA,
}
"""InstantAS's tables 1 and 2: methods by size."""

TABLE_3 = {
    "direct": DIRECT,
    "without minimum cover": engine("MultiDiffusion", overlap=0.9),
    "without bridging": NO_BRIDGING,
    "InstantAS, paper's settings": PAPER_BRIDGING,
    "InstantAS": INSTANTAS,
}
"""InstantAS's table 3: the ablation."""

STRIDES = {
    f"{short} {stride}": engine(method, overlap=1 - stride / 512)
    for stride in (128, 256, 384)
    for short, method in (("MD", "MultiDiffusion"), ("GF", "Guided Fusion"))
}
"""GVCF's table 1: fusion by stride, in pixels of a 512-pixel tile."""

MULTIDIFFUSIONS = (
    MULTIDIFFUSION,
    TABLE_3["without minimum cover"],
    *(STRIDES[name] for name in STRIDES if name.startswith("MD")),
)
"""MultiDiffusion at every overlap that the tables know."""

CLOSE = {
    "InstantAS": INSTANTAS,
    "MultiDiffusion, 25 %": STRIDES["MD 384"],
    "Guided Fusion, 25 %": STRIDES["GF 384"],
}
"""What 24 pictures do not tell apart: InstantAS, MultiDiffusion's best overlap here, and Guided Fusion's tiles."""

ALPHAS = (0.0, 0.2, 0.4, 0.7, 1.0)
ALIGNMENT = {
    f"{short} + SA {alpha:g}": engine(method, overlap=0.25, **({"style_alignment": alpha} if alpha else {}))
    for alpha in ALPHAS
    for short, method in (("MD", "MultiDiffusion"), ("GF", "Guided Fusion"))
}
"""GVCF's figure 5 and table 2: style alignment, at a stride of 384."""

OFFSETS = {
    "no overlap": engine("InstantAS", schedule="cyclic", gamma=0.0, fit="native"),
    "explicit overlap": engine("MultiDiffusion", overlap=0.5),
    "implicit, fixed": Variant((("method", "FSTD"), ("fit", "native")), change="fixed"),
    "implicit, random": engine("FSTD", fit="native"),
    "random, last prediction": replace(engine("FSTD", fit="native"), change="last-prediction"),
}
"""FSTD's table 4: how tiles overlap, and how they are offset."""

FIELD = {
    "InstantAS": INSTANTAS,
    "SpotDiffusion": engine("SpotDiffusion"),
    "MultiDiffusion, 75 %": engine("MultiDiffusion", overlap=0.75),
    "TwinDiffusion, 75 %": engine("TwinDiffusion", overlap=0.75),
    "Merge-Attend-Diffuse, 75 %": engine("Merge-Attend-Diffuse", overlap=0.75),
    "DemoFusion, 50 %": engine("DemoFusion", overlap=0.5),
    "MultiDiffusion, 20 %": engine("MultiDiffusion", overlap=0.2),
    "SaFa*, 20 %": engine("Latent Swap", overlap=0.2),
    "SaFa, 20 %": engine("SaFa", overlap=0.2),
}
"""The field since, each at its paper's overlap, and MultiDiffusion with the same tiles."""

SCALECRAFTER = engine("ScaleCrafter")
DILATED = {
    "direct": DIRECT,
    "ScaleCrafter": SCALECRAFTER,
    "ScaleCrafter, two levels": engine("ScaleCrafter", dilated_levels=2),
    "InstantAS": INSTANTAS,
}
DILATED_SMALL_WORLD = {
    "direct": DIRECT,
    "ScaleCrafter": engine("ScaleCrafter", dilated_levels=2),
    "ScaleCrafter, one level": engine("ScaleCrafter", dilated_levels=1),
    "InstantAS": INSTANTAS,
}
"""ScaleCrafter's table 1. The paper dilates the deepest of four levels; Small World has three, and needs two."""

DILATED_4X = {
    "direct": DIRECT,
    "ScaleCrafter": SCALECRAFTER,
    "dispersed": replace(SCALECRAFTER, change="dispersed"),
    "two levels": engine("ScaleCrafter", dilated_levels=2),
    "every level, noise-damped": replace(SCALECRAFTER, change="every-level"),
}
DILATED_16X = {
    "direct": DIRECT,
    "ScaleCrafter": SCALECRAFTER,
    "without progression": replace(SCALECRAFTER, change="without-progression"),
    "without dispersion": replace(SCALECRAFTER, change="without-dispersion"),
    "without noise-damping": replace(SCALECRAFTER, change="without-damping"),
}
"""ScaleCrafter's table 4 at 4 and 16 times the model's area."""

Shape = tuple[int, int]
"""Height and width of a picture, in sides of the pictures that the model knows."""

OWN: Shape = (1, 1)
WIDE: Shape = (1, 4)
SHAPES: tuple[Shape, ...] = ((1, 2), WIDE, (2, 1), (4, 1))
"""Of InstantAS's tables 1 and 2: the paper's 512x1024, 512x2048, 1024x512 and 2048x512 with a model of 512x512."""
SQUARE: Shape = (2, 2)
LARGE_SQUARE: Shape = (4, 4)
SYNC_SHAPES = (WIDE,)
"""Where SyncDiffusion has a row: it takes 20 times as long as InstantAS."""
