"""GroupNorm over all tiles of a map: per-tile moments, their merging, and the normalisation with them.

Source: ScaleCrafter, appendix A.3 ("we compute the mean and std using all tiles instead of using only current ones").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from lib_instantas.vae.precision import wider


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

    @property
    def finite(self) -> bool:
        """Whether the tile held no NaN and no infinity."""
        return bool(torch.isfinite(self.deviation.sum()))


@dataclass
class Statistics:
    """The moments of all tiles of one map."""

    tiles: list[Moments] = field(default_factory=list)

    def add(self, moments: Moments) -> None:
        """Count one more tile."""
        self.tiles.append(moments)

    @property
    def dtype(self) -> torch.dtype:
        """What the tiles were measured in."""
        return reduce(wider, (tile.mean.dtype for tile in self.tiles))

    def groups(self, count: int) -> tuple[Tensor, Tensor]:
        """Mean and (biased) variance of `count` channel groups over all tiles, `[batch, count]` in float64 on the CPU.

        The tiles are merged by the pairwise rule of Chan, Golub and LeVeque (1983).
        """
        means = torch.stack([tile.mean for tile in self.tiles]).cpu().double()
        deviations = torch.stack([tile.deviation for tile in self.tiles]).cpu().double()
        weights = torch.tensor([tile.count for tile in self.tiles], dtype=torch.float64)[:, None, None]
        tiles, batch, channels = means.shape
        grouped = (tiles, batch, count, channels // count)
        means, deviations = means.reshape(grouped), deviations.reshape(grouped)
        weights = weights[..., None].expand(grouped)
        total = weights.sum((0, 3))
        mean = (weights * means).sum((0, 3)) / total
        spread = (weights * (means - mean[None, ..., None]).square()).sum((0, 3))
        return mean, (deviations.sum((0, 3)) + spread) / total


@dataclass(frozen=True)
class Normalisation:
    """A GroupNorm whose statistics are known: `x * scale + shift`, both `[batch, channels, 1, 1]`."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: torch.nn.GroupNorm, statistics: Statistics, device: torch.device) -> Normalisation:
        """Fix the statistics of `norm` to those of all tiles."""
        mean, variance = statistics.groups(norm.num_groups)
        per_group = norm.num_channels // norm.num_groups
        scale = (variance + norm.eps).rsqrt().repeat_interleave(per_group, dim=1)
        shift = -mean.repeat_interleave(per_group, dim=1) * scale
        if norm.affine:
            weight, bias = norm.weight.detach().cpu().double(), norm.bias.detach().cpu().double()
            scale, shift = scale * weight, shift * weight + bias
        dtype = statistics.dtype
        return cls(*(part.to(dtype).unflatten(-1, (-1, 1, 1)).to(device) for part in (scale, shift)))

    def __call__(self, x: Tensor, in_place: bool = False) -> Tensor:
        """Normalise; computed in float32 at least and returned in the dtype of `x`, as GroupNorm itself does."""
        if in_place and x.dtype == self.scale.dtype:
            return x.mul_(self.scale).add_(self.shift)
        return torch.addcmul(self.shift, x, self.scale).to(x.dtype)
