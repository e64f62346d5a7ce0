"""The pictures of a batch, where each has tiles of its own: random places are drawn from a picture's seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser, map_tensors
from lib_instantas.methods import Method

LOOK_AHEAD = 4
"""Evaluations after which plans that have been alike are taken to stay alike."""


def have_equal_plans(methods: Sequence[Method]) -> bool:
    """Whether methods that differ in their seed only put their tiles in the same places."""
    first, *others = [[_places(method, evaluation) for evaluation in range(LOOK_AHEAD)] for method in methods]
    return all(places == first for places in others)


def _places(method: Method, evaluation: int) -> Any:
    plan = method.plan(evaluation)
    return plan.tiles, plan.shift


def pictures_of_rows(params: Any) -> list[int]:
    """Which picture of the batch each row of an evaluation belongs to, from the host's CFGDenoiserParams.

    The host lays out every picture's conditions (several for prompts joined by AND), one picture after another, and
    then the unconditional rows; InstructPix2Pix has two of those for a picture.
    """
    conditions = params.denoiser.sampler.sampler_extra_args["cond"].batch
    pictures = range(len(conditions))
    conditional = [picture for picture in pictures for _ in conditions[picture]]
    unconditional = (params.x.shape[0] - len(conditional)) // len(pictures)
    return [*conditional, *chain.from_iterable(repeat(pictures, unconditional))]


class PictureByPicture:
    """A model call whose rows go to the tiles of their own picture.

    However the host divides the rows of an evaluation among model calls, it keeps their order.
    """

    def __init__(self, denoisers: Sequence[TiledDenoiser]) -> None:
        self.denoisers = denoisers
        self._pending: list[int] = []

    def before_evaluation(self, params: Any) -> None:
        """Begin to count the rows of an evaluation."""
        self._pending = pictures_of_rows(params)

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for all rows, in their order."""
        rows, self._pending = self._pending[: len(x)], self._pending[len(x) :]
        predictions: dict[int, Tensor] = {}
        for picture in dict.fromkeys(rows):
            mine = [row for row, owner in enumerate(rows) if owner == picture]
            pick = _picker(mine, len(x))
            answer = self.denoisers[picture](pick(x), pick(sigma), **map_tensors(pick, conditioning))
            predictions.update(zip(mine, answer, strict=True))
        return torch.stack([predictions[row] for row in range(len(x))])


def _picker(mine: list[int], rows: int) -> Callable[[Tensor], Tensor]:
    return lambda value: value[mine] if value.ndim and value.shape[0] == rows else value
