"""Where one prompt ends and another begins, for tiles to meet there rather than beside it.

A tile that holds little of a region, at its side, answers for that little what fits the rest of it. In a run of few
evaluations that stays in the picture as a strip. The border of a region shows no seam that was not there before.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lib_instantas.regions_json import setup_from_text
from lib_instantas.tiling import Size

LARGEST = 512
"""Cells a side that are looked at; a larger canvas is looked at as a smaller one."""

CHANGE = 0.3
"""Share of the canvas's other axis that must change its prompt from one cell to the next for a border."""

NONE: tuple[tuple[int, ...], tuple[int, ...]] = (), ()


@lru_cache(maxsize=64)
def region_borders(regions: str, canvas: Size) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The rows and the columns, in latent pixels, at which hard borders of the regions (as text) lie.

    A border counts where it goes along a good part of the canvas; soft ones are no place for tiles to meet.
    """
    setup = setup_from_text(regions)
    if not setup.active:
        return NONE
    height, width = (min(side, LARGEST) for side in canvas)
    shares = setup.shares((height, width))
    rows, columns = (_jumps(along) for along in (shares, shares.transpose(1, 2)))
    return (
        tuple(round(row * canvas[0] / height) for row in rows),
        tuple(round(column * canvas[1] / width) for column in columns),
    )


@lru_cache(maxsize=64)
def change_along(regions: str) -> tuple[bool, bool]:
    """Whether the regions (as text) differ from place to place along the (vertical, horizontal) axis."""
    shares = setup_from_text(regions).shares((64, 64))
    return bool((shares.diff(dim=1) != 0).any()), bool((shares.diff(dim=2) != 0).any())


def _jumps(shares: Tensor) -> list[int]:
    """Places along axis 1 of shares [prompts, A, B] at which prompts change at once."""
    change = shares.diff(dim=1).abs().sum(0).mean(1) / 2
    wide = torch.nn.functional.pad(change, (1, 1))
    highest = (change >= wide[:-2]) & (change > wide[2:]) & (change >= CHANGE)
    return [int(place) + 1 for place in highest.nonzero().flatten()]
