"""The settings of ScaleCrafter's tables 6 to 13, and which of them a picture gets.

The tables name the blocks of a UNet from the outermost (DB0, UB3) to the deepest (DB3, MB, UB0), and in all of them a
block on the way down has the settings of the one on the way up beside it. So a table is a list of levels here, the
deepest first. SDXL has three levels; its tables count them from DB1, the outermost, to DB3. SD 2.1 is said to have the
settings of SD 1.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lib_instantas.tiling import Size


@dataclass(frozen=True)
class Level:
    """How one level of the UNet convolves: `factor` times as far as it was trained to.

    A `dispersed` one does so by larger kernels for a factor of 2, and is dilated for the rest. A `damped` one is as
    trained in the prediction that takes the noise away.
    """

    factor: float
    dispersed: bool = False
    damped: bool = False


@dataclass(frozen=True)
class Table:
    """What the paper does at one size; `sides` are the shorter and the longer side over the model's own.

    `share` of the evaluations are dilated (tau of 50), and where it `shrinks`, less and less.
    """

    sides: tuple[float, float]
    levels: tuple[Level, ...]
    share: float = 0.6
    shrinks: bool = False

    def at(self, factor: float) -> Table:
        """The same for a picture whose shorter side is `factor` times the model's."""
        scale = factor / self.sides[0]
        return replace(self, levels=tuple(replace(level, factor=scale * level.factor) for level in self.levels))


FOUR_LEVELS = (
    Table((2, 2), (Level(2),)),
    Table((2.5, 2.5), (Level(2.5),)),
    Table((2, 4), (Level(2), *[Level(2, damped=True)] * 3)),
    Table((4, 4), (*[Level(4, dispersed=True)] * 2, Level(4, damped=True), Level(2, damped=True)), 0.7, shrinks=True),
)
"""SD 1.5 and 2.1: tables 6 to 9. The scale `db` of dispersed blocks is 2 on top of the dispersed kernels' own 2."""

THREE_LEVELS = (
    Table((2, 2), (Level(2),)),
    Table((2.5, 2.5), (Level(2.5), *[Level(2, damped=True)] * 2)),
    Table((2, 4), (Level(2), *[Level(2, damped=True)] * 2)),
    Table((4, 4), (Level(4, dispersed=True), Level(2, damped=True)), 0.7, shrinks=True),
)
"""SDXL: tables 10 to 13."""


def table_for(levels: int, canvas: Size, factor: float) -> Table:
    """The table whose size is nearest to a picture's, in proportion, for a UNet of so many levels.

    `factor` is the picture's shorter side over the model's own, or what the user sets in its place; of the canvas
    only the proportions count.
    """
    longer = factor * max(canvas) / min(canvas)

    def distance(table: Table) -> float:
        shorter_off, longer_off = (
            math.log(ours / theirs) for ours, theirs in zip((factor, longer), table.sides, strict=True)
        )
        return shorter_off**2 + longer_off**2

    tables = THREE_LEVELS if levels <= len(THREE_LEVELS[1].levels) else FOUR_LEVELS
    return min(tables, key=distance).at(factor)
