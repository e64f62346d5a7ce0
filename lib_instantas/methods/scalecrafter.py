"""ScaleCrafter (He et al. 2024): the whole canvas at once, through convolutions that reach further."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lib_instantas.capabilities import Capability
from lib_instantas.methods.instantas import whole_canvas
from lib_instantas.methods.options import Reach, TileSide, Wrap
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.methods.scalecrafter_tables import Level, table_for
from lib_instantas.tiling import TilePlan

LARGEST_FACTOR = 8.0

PLAIN_UP_TO = 3.0
"""Up to this factor features are stretched and kernels dilated, beyond it kernels are dispersed first (tables 7, 9)."""


@dataclass(frozen=True)
class Dilation:
    """How much further the levels of the UNet convolve, the deepest first, in a run of so many evaluations.

    The layout is made early: only a `share` of the evaluations reaches further, and where it `shrinks`, less with each.
    """

    levels: tuple[Level, ...]
    evaluations: int
    share: float = 0.6
    shrinks: bool = False

    @property
    def factor(self) -> float:
        """How far the deepest level reaches in the first evaluation."""
        return self.levels[0].factor

    @property
    def until(self) -> int:
        """The first evaluation that is as the model was trained."""
        return round(self.share * self.evaluations)

    @property
    def damped(self) -> int:
        """How many evaluations ask the model once more without the prompt, to take the noise away (section 3.4)."""
        return self.until if any(level.damped for level in self.levels) else 0

    def at(self, evaluation: int) -> tuple[Level, ...]:
        """The levels at an evaluation, counted from 0; none from `until` on."""
        if evaluation >= self.until:
            return ()
        return tuple(replace(level, factor=self._factor(level, evaluation)) for level in self.levels)

    def _factor(self, level: Level, evaluation: int) -> float:
        if not self.shrinks:
            return level.factor
        return min(level.factor, max(2.0, math.ceil(level.factor * (1 - evaluation / self.until))))


def same_factor(factor: float, levels: int, evaluations: int) -> Dilation:
    """One factor for so many levels, the deepest; nothing is damped."""
    far = factor > PLAIN_UP_TO
    return Dilation((Level(factor, dispersed=far),) * levels, evaluations, 0.7 if far else 0.6, far)


def as_published(request: Request, factor: float) -> Dilation:
    """The paper's for the model and the size."""
    table = table_for(request.levels_of_unet, request.canvas, factor)
    return Dilation(table.levels[: request.levels_of_unet], request.steps, table.share, table.shrinks)


@dataclass(frozen=True)
class Redilated:
    """The canvas as one tile; hosts see to it that the UNet is dilated meanwhile (`redilation.Redilation`)."""

    canvas: Method
    dilation: Dilation

    def plan(self, evaluation: int) -> TilePlan:
        """The whole canvas, always."""
        return self.canvas.plan(evaluation)


@register(
    "ScaleCrafter",
    reads=(Reach, TileSide, Wrap),
    needs=[Capability.CONVOLUTIONS],
    without=["compose"],
    seeded=lambda settings: False,
    about="the whole picture through convolutions that reach further, so that its subject is not repeated.",
)
def scalecrafter(request: Request) -> Method:
    """Dilated by the setting, or by the canvas's shorter side over the model's own; 1 or less is `direct`."""
    factor = request.settings.dilation or min(LARGEST_FACTOR, min(request.canvas) / request.side)
    if factor <= 1:
        return whole_canvas(request)
    levels = request.settings.dilated_levels
    dilation = same_factor(factor, levels, request.steps) if levels else as_published(request, factor)
    return Redilated(whole_canvas(request), dilation)
