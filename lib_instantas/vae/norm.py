"""GroupNorm over all tiles of a map: per-tile moments, their merging, and the normalisation with them.

Source: ScaleCrafter, appendix A.3 ("we compute the mean and std using all tiles instead of using only current ones").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    def grouped(self, count: int, near: Tensor) -> Moments:
        """By channel groups, `[batch, count, channels / count]`, the mean told from `near`."""
        mean, deviation = (part.unflatten(1, (count, -1)) for part in (self.mean, self.deviation))
        return Moments(self.count, mean - near, deviation)

    @classmethod
    def merged(cls, a: Moments, b: Moments) -> Moments:
        """Those of two tiles together: the pairwise rule of Chan, Golub and LeVeque (1983)."""
        count = a.count + b.count
        apart = b.mean - a.mean
        mean = a.mean.add(apart, alpha=b.count / count)
        deviation = torch.addcmul(a.deviation + b.deviation, apart, apart, value=a.count * b.count / count)
        return cls(count, mean, deviation)


def group_statistics(tiles: Sequence[Moments], count: int) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of `count` channel groups over all tiles, `[batch, count]` where the tiles are.

    In the tiles' own precision, since not every device has a wider one. So means are told from a value near them, which
    rounds once where they are large, and merged in a tree of pairs, in which rounding grows with the depth only.
    """
    near = tiles[0].mean.unflatten(1, (count, -1))[..., :1]
    merged = [tile.grouped(count, near) for tile in tiles]
    while len(merged) > 1:
        odd = merged[-1:] if len(merged) % 2 else []
        merged = [Moments.merged(*pair) for pair in zip(merged[::2], merged[1::2], strict=False)] + odd
    channels = merged[0]
    mean = channels.mean.mean(-1, keepdim=True)
    variance = (channels.deviation / channels.count + (channels.mean - mean).square()).mean(-1)
    return (near + mean).squeeze(-1), variance


@dataclass(frozen=True)
class SharedNorm:
    """A GroupNorm whose statistics are known: `x * scale + shift`, both `[batch, channels, 1, 1]`."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: torch.nn.GroupNorm, tiles: Sequence[Moments]) -> SharedNorm:
        """Fix the statistics of `norm` to those of all tiles; nothing leaves the device where these were measured."""
        mean, variance = group_statistics(tiles, norm.num_groups)
        per_group = norm.num_channels // norm.num_groups
        scale = (variance + norm.eps).rsqrt().repeat_interleave(per_group, dim=1)
        shift = -mean.repeat_interleave(per_group, dim=1)
        if norm.affine:
            # Wherever a host keeps them (in main memory, in 8 bits): the norm itself is never called.
            weight, bias = (part.detach().to(scale) for part in (norm.weight, norm.bias))
            scale = scale * weight
            shift = torch.addcmul(bias, shift, scale)
        else:
            shift = shift * scale
        return cls(scale.unflatten(-1, (-1, 1, 1)), shift.unflatten(-1, (-1, 1, 1)))

    def __call__(self, x: Tensor, in_place: bool = False) -> Tensor:
        """Normalise; computed in float32 at least and returned in the dtype of `x`, as GroupNorm itself does."""
        if in_place and x.dtype == self.scale.dtype:
            return x.mul_(self.scale).add_(self.shift)
        return torch.addcmul(self.shift, x, self.scale).to(x.dtype)
