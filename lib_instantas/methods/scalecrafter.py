"""ScaleCrafter (He et al. 2024): the whole canvas at once, through convolutions that reach further."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lib_instantas.capabilities import Capability
from lib_instantas.methods.instantas import whole_canvas
from lib_instantas.methods.options import Reach, TileSide, Wrap
from lib_instantas.methods.registry import Method, Request, register
from lib_instantas.tiling import TilePlan

LARGEST_FACTOR = 8.0


@dataclass(frozen=True)
class Dilation:
    """How much further convolutions reach, at the deepest `levels` of the UNet, in a run of so many evaluations.

    The layout is made early: the first 60 % of the evaluations reach further, 70 % of them beyond a factor of 3, where
    the factor also shrinks step by step (tables 6 to 9).
    """

    factor: float
    levels: int
    evaluations: int

    @property
    def until(self) -> int:
        """The first evaluation that is as the model was trained."""
        return round((0.7 if self._shrinks else 0.6) * self.evaluations)

    @property
    def _shrinks(self) -> bool:
        return self.factor > 3

    def at(self, evaluation: int) -> float:
        """The factor at an evaluation, counted from 0; 1 means as trained."""
        if evaluation >= self.until:
            return 1.0
        return max(2.0, math.ceil(self.factor * (1 - evaluation / self.until))) if self._shrinks else self.factor


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
)
def scalecrafter(request: Request) -> Method:
    """Dilated by the setting, or by the canvas's shorter side over the model's own; 1 or less is `direct`."""
    factor = request.settings.dilation or min(LARGEST_FACTOR, min(request.canvas) / request.side)
    if factor <= 1:
        return whole_canvas(request)
    return Redilated(whole_canvas(request), Dilation(factor, request.settings.dilated_levels, request.steps))
