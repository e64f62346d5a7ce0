"""GroupNorm over all tiles of a map: per-tile moments, their merging, and the normalisation with them.

Source: ScaleCrafter, appendix A.3 ("we compute the mean and std using all tiles instead of using only current ones").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor


def wider(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    """The one with more bits; the first if they have the same."""
    return b if torch.finfo(b).bits > torch.finfo(a).bits else a


def sum_in_float(x: Tensor) -> Tensor:
    """The sum of everything, in float32 at least: finite exactly when no element is NaN or infinite."""
    return x.sum(dtype=wider(torch.float32, x.dtype))


@dataclass(frozen=True)
class Moments:
    """Of one tile: number of pixels; per channel mean and sum of squared deviations from it, `[batch, channels]`."""

    count: int
    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Moments:
        """Measure a tile `[batch, channels, height, width]` in float32, or in float64 if it is.

        Centred on the tile's own mean: the plain sum of squares would cancel where the mean is large.
        """
        x = x.to(wider(torch.float32, x.dtype))
        mean = x.mean((-2, -1), keepdim=True)
        deviation = torch.linalg.vector_norm(x - mean, dim=(-2, -1)).square()
        return cls(x.shape[-2] * x.shape[-1], mean.flatten(1), deviation)


def group_statistics(tiles: Sequence[Moments], count: int) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of `count` channel groups over all tiles, `[batch, count]` in float64 on the CPU.

    The tiles are merged by the pairwise rule of Chan, Golub and LeVeque (1983).
    """
    means = torch.stack([tile.mean for tile in tiles]).cpu().double()
    deviations = torch.stack([tile.deviation for tile in tiles]).cpu().double()
    weights = torch.tensor([tile.count for tile in tiles], dtype=torch.float64)[:, None, None]
    grouped = (*means.shape[:2], count, means.shape[2] // count)
    means, deviations = means.reshape(grouped), deviations.reshape(grouped)
    weights = weights[..., None].expand(grouped)
    total = weights.sum((0, 3))
    mean = (weights * means).sum((0, 3)) / total
    spread = (weights * (means - mean[None, ..., None]).square()).sum((0, 3))
    return mean, (deviations.sum((0, 3)) + spread) / total


@dataclass(frozen=True)
class SharedNorm:
    """A GroupNorm whose statistics are known: `x * scale + shift`, both `[batch, channels, 1, 1]`."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: torch.nn.GroupNorm, tiles: Sequence[Moments], device: torch.device) -> SharedNorm:
        """Fix the statistics of `norm` to those of all tiles."""
        mean, variance = group_statistics(tiles, norm.num_groups)
        per_group = norm.num_channels // norm.num_groups
        scale = (variance + norm.eps).rsqrt().repeat_interleave(per_group, dim=1)
        shift = -mean.repeat_interleave(per_group, dim=1) * scale
        if norm.affine:
            weight, bias = norm.weight.detach().cpu().double(), norm.bias.detach().cpu().double()
            scale, shift = scale * weight, shift * weight + bias
        dtype = reduce(wider, (tile.mean.dtype for tile in tiles))
        return cls(*(part.to(dtype).unflatten(-1, (-1, 1, 1)).to(device) for part in (scale, shift)))

    def __call__(self, x: Tensor, in_place: bool = False) -> Tensor:
        """Normalise; computed in float32 at least and returned in the dtype of `x`, as GroupNorm itself does."""
        if in_place and x.dtype == self.scale.dtype:
            return x.mul_(self.scale).add_(self.shift)
        return torch.addcmul(self.shift, x, self.scale).to(x.dtype)
