"""What every table rests on: pictures and their measures, made once; and what a finished table consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks.report import progress
from benchmarks.tables import paper
from benchmarks.tables.measures import (
    Critics,
    Difference,
    Distance,
    Judged,
    Quality,
    as_tensor,
    compare,
    compare_seams,
    kernel_distance,
    measure,
)
from benchmarks.tables.pictures import PictureSets
from benchmarks.tables.subjects import Source
from benchmarks.tables.variants import SYNC_SHAPES, TABLE_1, WIDE, Shape, Variant


@dataclass
class Bench:
    """The sets, who judges them, and what has been measured so far.

    `source` has the subjects of tables that need others than the sets have; `left_out` are rows that the model cannot
    have, with the reason.
    """

    sets: PictureSets
    critics: Critics
    source: Source
    quick: bool = False
    left_out: dict[str, str] = field(default_factory=dict)
    _judged: dict[tuple[Variant, Shape], Judged] = field(default_factory=dict)

    @property
    def is_small_world(self) -> bool:
        """Whether the model is the one that ships with the project."""
        return self.sets.easel.is_small_world

    @property
    def measured_by(self) -> str:
        """Name of the distance from crops to the model's own pictures."""
        return self.critics.eye.names[0]

    def label(self, shape: Shape) -> str:
        """Height x width in image pixels, as in the papers."""
        return "{}x{}".format(*self.sets.easel.size(shape))

    def possible(self, rows: Mapping[str, Variant], shape: Shape = WIDE) -> dict[str, Variant]:
        """The rows that the model can have; the others are noted in `left_out`."""
        reasons = {name: self.sets.easel.refusal(variant, shape) for name, variant in rows.items()}
        for name, reason in reasons.items():
            if reason and name not in self.left_out:
                self.left_out[name] = reason
                progress(f"{name} is left out: {reason}")
        return {name: variant for name, variant in rows.items() if not reasons[name]}

    def quality(self, variant: Variant, shape: Shape = WIDE) -> Quality:
        """The measures of a variant's pictures."""
        return self.judged(variant, shape).quality

    def judged(self, variant: Variant, shape: Shape = WIDE) -> Judged:
        """The measures of a variant's pictures, and what they were taken from."""
        if (variant, shape) not in self._judged:
            made = self.sets.pictures(variant, shape).pictures
            self._judged[variant, shape] = measure(
                self.critics, made, self.sets.subjects, self.sets.easel.side, self.own
            )
        return self._judged[variant, shape]

    @cached_property
    def own(self) -> Tensor:
        """The eye's features of the model's own pictures, [subjects, pictures of each, F]."""
        features = self.critics.eye.features(torch.stack([as_tensor(picture) for picture in self.sets.own()]))
        return features.unflatten(0, (len(self.sets.subjects), -1))

    def less(
        self, first: Variant, second: Variant, shape: Shape = WIDE, distance: Distance | None = None
    ) -> Difference:
        """The first's distance less the second's, the eye's if no other is given."""
        distance = distance or self.critics.eye.distance
        return compare(self.judged(first, shape).features, self.judged(second, shape).features, self.own, distance)

    def beside(self, first: Variant, second: Variant, shape: Shape = WIDE) -> str:
        """In words, by how much the first's measures differ from the second's: distances, and seam."""
        ours, theirs = self.judged(first, shape), self.judged(second, shape)
        less = [f"{self.measured_by} {self.less(first, second, shape)}"]
        if self.critics.judge is not None:
            less.append(f"KID-W {self.less(first, second, shape, kernel_distance)}")
        return ", ".join([*less, f"seam {compare_seams(ours, theirs)}"])

    def order(self, variants: Mapping[str, Variant], theirs: Mapping[str, float], shape: Shape = WIDE) -> str:
        """How our order by the eye's distance differs from a paper's by FID."""
        ranked = [name for name in variants if name in theirs]
        differences = {(a, b): self.less(variants[a], variants[b], shape) for a, b in combinations(ranked, 2)}
        return paper.order_sentence(differences, theirs, "FID", self.measured_by)

    def methods(self, shape: Shape) -> dict[str, Variant]:
        """The methods of InstantAS's tables 1 and 2 in one of SHAPES, without those that take too long there."""
        too_long = set() if shape in SYNC_SHAPES and not self.quick else {"SyncDiffusion"}
        return self.possible({name: one for name, one in TABLE_1.items() if name not in too_long}, shape)

    def seconds(self, variant: Variant, shape: Shape = WIDE) -> float:
        """Median time of one picture."""
        return self.sets.pictures(variant, shape).seconds

    def first(self, variants: Mapping[str, Variant], shape: Shape = WIDE) -> dict[str, Image]:
        """The first picture of each variant, for a contact sheet."""
        return {name: self.sets.pictures(variant, shape).pictures[0] for name, variant in variants.items()}


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
