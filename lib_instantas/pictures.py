"""Several pictures in one batch, each with a plan of its own.

A schedule that is drawn from a picture's seed puts the grid elsewhere for every picture. For a batch to equal its
pictures made one by one, each row must then be tiled by its own picture's plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser, map_tensors


class PicturesDenoiser:
    """One tiled denoiser per picture behind the signature of the model that they all wrap.

    Samplers order and repeat the rows of a batch (conditional, unconditional, AND-prompts) as they like, but every
    row of one picture holds the same latents: rows are told apart by what they hold.
    """

    def __init__(self, denoisers: Sequence[TiledDenoiser]) -> None:
        self.denoisers = tuple(denoisers)
        self._pictures: list[Tensor] = []

    def begin_evaluation(self, x: Tensor) -> None:
        """Learn the pictures' latents from all rows [B, C, H, W] of the evaluation that begins, in picture order."""
        self._pictures = []
        for row in x:
            if not any(torch.equal(row, known) for known in self._pictures):
                self._pictures.append(row)

    def next_evaluation(self) -> None:
        """Say that the sampler's next evaluation begins."""
        for denoiser in self.denoisers:
            denoiser.next_evaluation()

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for all rows, each by its own picture's plan. Shapes as for TiledDenoiser."""
        owners = [self._owner(row) for row in x]
        prediction = torch.empty_like(x)
        for picture in sorted(set(owners)):
            rows = torch.tensor([i for i, owner in enumerate(owners) if owner == picture], device=x.device)
            prediction[rows] = self._predict(picture, rows, x, sigma, conditioning)
        return prediction

    def _owner(self, row: Tensor) -> int:
        found = (i for i, known in enumerate(self._pictures) if torch.equal(row, known))
        return min(next(found, 0), len(self.denoisers) - 1)

    def _predict(self, picture: int, rows: Tensor, x: Tensor, sigma: Tensor, conditioning: dict[str, Any]) -> Tensor:
        def own(value: Tensor) -> Tensor:
            return value[rows] if value.ndim and value.shape[0] == x.shape[0] else value

        return self.denoisers[picture](own(x), own(sigma), **map_tensors(own, conditioning))
