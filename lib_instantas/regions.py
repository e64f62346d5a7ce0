"""Regions of a canvas with prompts of their own, and which share of each pixel belongs to which prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from lib_instantas.shapes import Crop, Shape, feathered
from lib_instantas.tiling import Size

Overlap = Literal["weight", "upper"]

NEGLIGIBLE = 1e-4
"""Shares of a latent pixel below this count as none: rounding must not put a prompt where nobody drew it."""


@dataclass(frozen=True)
class Region:
    """A part of the canvas and what is to be seen there.

    An empty prompt or negative prompt means the main one. `weight` below 1 lets the main prompt shine through; where
    regions overlap it decides their proportion. `feather` is the width of the soft border as a fraction of the
    canvas's shorter side. `color` (#rrggbb) is how the region is shown in the page, empty for any.
    """

    shape: Shape
    prompt: str = ""
    negative_prompt: str = ""
    weight: float = 1.0
    feather: float = 0.0
    name: str = ""
    enabled: bool = True
    color: str = ""

    def coverage(self, size: Size, closed: tuple[bool, bool] = (False, False)) -> Tensor:
        """Share of each cell inside the region, its border feathered, [H, W] in 0..1, double precision.

        On an axis (vertical, horizontal) that is `closed` the border goes on at the other end.
        """
        return feathered(self.shape.coverage(size), self.feather * min(size), closed).clamp(0, 1)


@dataclass(frozen=True)
class RegionSetup:
    """The regions of a picture, the last one uppermost, and what counts where they overlap.

    With overlap "weight" they share a pixel in proportion to their weights, with "upper" the upper one takes it.
    What no region covers belongs to the main prompt.
    """

    regions: tuple[Region, ...] = ()
    overlap: Overlap = "weight"

    @property
    def active(self) -> tuple[Region, ...]:
        """The regions that take part: switched on, with a weight."""
        return tuple(region for region in self.regions if region.enabled and region.weight > 0)

    def cropped(self, crop: Crop, canvas: Size) -> RegionSetup:
        """The same regions on a canvas that is a crop of the old one, whose size was `canvas` (height, width).

        For a picture of which only a part is sampled, as in inpainting at full resolution.
        """
        shorter = min(crop.height * canvas[0], crop.width * canvas[1]) / min(canvas)
        regions = tuple(
            replace(region, shape=region.shape.cropped(crop), feather=region.feather / shorter)
            for region in self.regions
        )
        return replace(self, regions=regions)

    def hard(self) -> RegionSetup:
        """The same regions with sharp borders, through which nothing of the main prompt shines."""
        regions = (
            replace(region, weight=max(1.0, region.weight) if region.weight else 0.0, feather=0.0)
            for region in self.regions
        )
        return replace(self, regions=tuple(regions))

    def shares(self, size: Size, closed: tuple[bool, bool] = (False, False)) -> Tensor:
        """How much of each pixel belongs to each prompt, [1 + active regions, H, W]; sums to 1 at every pixel.

        Slot 0 is the main prompt, the others are the active regions in their order. `size` is the canvas in latent
        pixels, `closed` whether it goes on at the other end of its (vertical, horizontal) axis.
        """
        if not self.active:
            return torch.ones(1, *size)
        coverage = torch.stack([region.coverage(size, closed) for region in self.active])
        weight = torch.tensor([region.weight for region in self.active], dtype=torch.float64)[:, None, None]
        opacity = coverage * weight.clamp(max=1)
        shares = _upper_first(opacity) if self.overlap == "upper" else _by_weight(opacity, coverage * weight)
        shares = shares.masked_fill(shares < NEGLIGIBLE, 0)
        main = (1 - shares.sum(0, keepdim=True)).clamp(min=0)
        shares = torch.cat([main.masked_fill(main < NEGLIGIBLE, 0), shares])
        return (shares / shares.sum(0)).float()


def _by_weight(opacity: Tensor, pull: Tensor) -> Tensor:
    """The regions share what they cover together in proportion to their pull."""
    covered = opacity.sum(0).clamp(max=1)
    return covered * pull / pull.sum(0).clamp(min=1e-12)


def _upper_first(opacity: Tensor) -> Tensor:
    """From the top down, each region takes what it covers of what is left."""
    left = torch.ones_like(opacity[0])
    shares = torch.empty_like(opacity)
    for index in reversed(range(len(opacity))):
        shares[index] = torch.minimum(opacity[index], left)
        left = left - shares[index]
    return shares
