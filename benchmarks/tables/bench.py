"""What every table rests on: pictures and their measures, made once; and what a finished table consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks.tables import paper
from benchmarks.tables.layout import bar_chart, contact_sheet
from benchmarks.tables.measures import Difference, Judged, Quality, as_tensor, compare, features_of, measure
from benchmarks.tables.pictures import PictureSets
from benchmarks.tables.variants import SYNC_SIZES, TABLE_1, WIDE, Variant
from lib_instantas.tiling import Size
from small_world.judge import Judge


@dataclass
class Bench:
    """The sets, the judge, and what has been measured so far."""

    sets: PictureSets
    judge: Judge
    quick: bool = False
    _judged: dict[tuple[Variant, Size], Judged] = field(default_factory=dict)

    def quality(self, variant: Variant, size: Size = WIDE) -> Quality:
        """The measures of a variant's pictures."""
        return self.judged(variant, size).quality

    def judged(self, variant: Variant, size: Size = WIDE) -> Judged:
        """The measures of a variant's pictures, and what they were taken from."""
        if (variant, size) not in self._judged:
            made = self.sets.pictures(variant, size)
            self._judged[variant, size] = measure(self.judge, made.pictures, self.sets.scenes, size, self.own)
        return self._judged[variant, size]

    @cached_property
    def own(self) -> Tensor:
        """The judge's features of the model's own pictures, [scenes, pictures of each, F]."""
        features = features_of(self.judge, torch.stack([as_tensor(picture) for picture in self.sets.own()]))
        return features.unflatten(0, (len(self.sets.scenes), -1))

    def less(self, first: Variant, second: Variant, size: Size = WIDE) -> Difference:
        """The first's FID-W less the second's."""
        return compare(self.judged(first, size).features, self.judged(second, size).features, self.own)

    def order(self, variants: Mapping[str, Variant], theirs: Mapping[str, float], size: Size = WIDE) -> str:
        """How our order by FID-W differs from a paper's by FID."""
        ranked = [name for name in variants if name in theirs]
        differences = {(a, b): self.less(variants[a], variants[b], size) for a, b in combinations(ranked, 2)}
        return paper.order_sentence(differences, theirs, "FID", "FID-W")

    def methods(self, label: str) -> dict[str, Variant]:
        """The methods of InstantAS's tables 1 and 2 at one of SIZES, without those that take too long there."""
        left_out = set() if label in SYNC_SIZES and not self.quick else {"SyncDiffusion"}
        return {name: one for name, one in TABLE_1.items() if name not in left_out}

    def seconds(self, variant: Variant, size: Size = WIDE) -> float:
        """Mean time of one picture."""
        return self.sets.pictures(variant, size).seconds

    def first(self, variants: Mapping[str, Variant], size: Size = WIDE) -> dict[str, Image]:
        """The first picture of each variant, for a contact sheet."""
        return {name: self.sets.pictures(variant, size).pictures[0] for name, variant in variants.items()}


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
