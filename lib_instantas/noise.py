"""Style alignment: initial noise whose tiles resemble one reference (GVCF, "One-shot Style Alignment", eq. 15)."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor

from lib_instantas.methods import Request
from lib_instantas.tiling import Axis, Size, axes

NEARLY_PARALLEL = 1e-3
"""Sine of the angle below which a straight line and the arc are the same in floating point."""


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """The arc from `start` [B, ...] to `end`, `share` of the way, each row as one vector (GVCF, eq. 15).

    Two unrelated Gaussian noises are all but perpendicular and equally long, so that every point of the arc between
    them is Gaussian noise of the same variance.
    """
    angle = _angle(start.flatten(1), end.flatten(1)).reshape(-1, *[1] * (start.ndim - 1))
    straight = angle.sin() < NEARLY_PARALLEL
    sine = torch.where(straight, 1.0, angle.sin())
    first = torch.where(straight, 1 - share, ((1 - share) * angle).sin() / sine)
    second = torch.where(straight, share, (share * angle).sin() / sine)
    return (first * start.float() + second * end.float()).to(start.dtype)


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """The angle between rows [B, N]; exact in fp32 for small angles too, where the cosine tells nothing.

    Kahan, "How futile are mindless assessments of roundoff", section 12: twice the arctangent of |a - b| / |a + b|.
    """
    a, b = (F.normalize(rows.float(), dim=1) for rows in (a, b))
    return 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))


@dataclass(frozen=True)
class StyleAlignment:
    """How strongly the tiles of a canvas are turned towards a reference; `axes` say where they lie."""

    alpha: float
    axes: tuple[Axis, Axis]

    @property
    def tile(self) -> Size:
        """(height, width) of the largest tile, and so of the reference, latent pixels."""
        rows, columns = (max(b - a for a, b in pairwise(axis.cuts)) for axis in self.axes)
        return rows, columns

    def __call__(self, noise: Tensor, reference: Tensor) -> Tensor:
        """Initial noise [B, C, H, W] with each tile turned towards the reference [B or 1, C, h, w].

        The law stays the same: unit variance in, unit variance out.
        """
        if self.alpha == 0:
            return noise
        reference = reference.to(noise).expand(noise.shape[0], -1, -1, -1)
        aligned = noise.clone()
        rows, columns = (list(pairwise(axis.cuts)) for axis in self.axes)
        for (top, bottom), (left, right) in product(rows, columns):
            place = (..., slice(top, bottom), slice(left, right))
            towards = reference[..., : bottom - top, : right - left]
            aligned[place] = slerp(noise[place], towards, self.alpha)
        return aligned


def style_alignment(request: Request) -> StyleAlignment | None:
    """What the settings ask for on this canvas; None where it is off or the canvas is one tile."""
    grid = axes(request.canvas, request.side, request.settings.fit)
    if request.settings.style_alignment == 0 or all(axis.count == 1 for axis in grid):
        return None
    return StyleAlignment(request.settings.style_alignment, grid)


def reference_noise(seed: int, channels: int, size: Size) -> Tensor:
    """Gaussian noise [1, C, h, w] of a seed, unrelated to the noise that a picture of that seed begins with."""
    own_seed = random.Random(f"style/{seed}").getrandbits(63)
    return torch.randn(1, channels, *size, generator=torch.Generator("cpu").manual_seed(own_seed))


def diffused(latents: Tensor, noise: Tensor, signal: float) -> Tensor:
    """An encoded picture as noisy as a sampler's beginning; `signal` is the schedule's last alpha-bar (DDPM, eq. 4)."""
    return math.sqrt(signal) * latents.to(noise) + math.sqrt(1 - signal) * noise
