"""The field's pictures before the outside judge: how close to the model's own, and how much of one piece."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.measures import interval
from benchmarks.outside_judge import is_here, kid, likeness, look
from benchmarks.report import progress
from benchmarks.tables.bench import Bench, Section
from benchmarks.tables.layout import markdown_table
from benchmarks.tables.measures import as_tensor, native_crops
from benchmarks.tables.variants import FIELD, WIDE
from small_world import NATIVE
from small_world.renderer import render
from small_world.scene import Scene

DRAWN = 8
"""Drawn panoramas of each scene, which whole pictures are compared with."""


def outside(bench: Bench) -> Section | None:
    """KID of patches and of whole pictures, and how far the parts of one panorama lie apart."""
    if not is_here():
        progress('outside is left out: it needs pip install -e ".[benchmark]"')
        return None
    side, rows = bench.sets.easel.side, bench.possible(FIELD)
    own = look(torch.stack([as_tensor(picture) for picture in bench.sets.own()])).features
    sets = {
        name: [as_tensor(one) for one in bench.sets.pictures(variant, WIDE).pictures] for name, variant in rows.items()
    }
    # Only Small World's subjects can be drawn.
    shown, whole = bench.sets.subjects.scenes, None
    if shown:
        whole = look(torch.stack([_drawn(scene, number) for scene in shown for number in range(1, DRAWN + 1)])).features
        sets["drawn"] = [_drawn(scene, 0) for scene in shown]
    figures = {name: judged(torch.stack(pictures), side, own, whole) for name, pictures in sets.items()}
    text = (
        f"EfficientNet-Lite0 with ImageNet's weights, {len(bench.sets.subjects)} panoramas a row. **patches** is KID x "
        f"1000 of crops of {side}x{side} at every half of their side to the model's own pictures; ± half of its 95 % "
        "interval over subsets. **content apart** and **style apart** are the distances of a panorama's four parts "
        "from each other (LPIPS without its learnt weights; Gram matrices x 1000), ± half of the 95 % interval over "
        f"panoramas.{OF_DRAWN if shown else ''}"
    )
    header = ["", *("±" if key.endswith("_ci") else key for key in next(iter(figures.values())))]
    table = markdown_table(header, [[name, *one.values()] for name, one in figures.items()])
    return Section("outside", "The field since, before an outside judge", table, text, figures)


OF_DRAWN = (
    " **whole** is KID x 1000 of the panoramas, shrunk as they are to the network's square, to drawn ones of the same "
    "scenes. The last row is drawn panoramas: what is right lies there, not at 0."
)


def judged(pictures: Tensor, side: int, own: Tensor, whole: Tensor | None) -> dict[str, Any]:
    """The figures of a row of panoramas [n, 3, side, 4 * side], by their features' distance to `own` and to `whole`."""
    parts = [likeness(look(torch.stack(one.split(side, -1))).maps) for one in pictures]
    content, style = (interval(torch.tensor(values)) for values in zip(*parts, strict=True))
    found = {"patches": kid(look(native_crops(pictures, side)).features, own)}
    if whole is not None:
        found["whole"] = kid(look(pictures).features, whole)
    found |= {"content apart": content, "style apart": style}
    return {key: value for name, one in found.items() for key, value in ((name, one[0]), (f"{name}_ci", one[1]))}


def _drawn(scene: Scene, number: int) -> Tensor:
    """A drawn panorama [3, 256, 1024] of a scene in 0..1; its details are others for each number."""
    pixels = render(replace(scene, seed=scene.seed + 10**5 * number), (NATIVE, 4 * NATIVE)).pixels
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
