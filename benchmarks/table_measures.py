"""What the tables say of a set of pictures, on top of `benchmarks.quality`'s measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks.quality import assess
from lib_instantas.tiling import Size
from small_world import NATIVE
from small_world.judge import Judge
from small_world.renderer import render
from small_world.scene import Scene


@dataclass(frozen=True)
class Quality:
    """Measures of one set of pictures; `prompt` and `diversity` are better when higher, all others when lower.

    `fid` is the Frechet distance in the judge's features from crops to crops of drawn pictures (FID-W), `fid_ci` half
    of its 95 % interval, `kid` the unbiased kernel distance in the same features, `prompt` the share of crops whose
    place and time are the prompt's, `seam` the step across the resting grid's lines over that across other multiples
    of 8 pixels, `diversity` how far apart the crops lie, drawn ones being 1.
    """

    fid: float
    fid_ci: float
    kid: float
    prompt: float
    seam: float
    diversity: float


def measure(judge: Judge, pictures: Sequence[Image], scenes: list[Scene], size: Size) -> Quality:
    """The quality of pictures that were made for these scenes, one each, at (height, width) image pixels."""
    values = torch.stack([as_tensor(picture) for picture in pictures])
    figures = assess(judge, values, scenes, size)
    drawn = torch.stack([_drawn(scene, size) for scene in scenes])
    own, real = (judge.verdict(native_crops(some)).features for some in (values, drawn))
    return Quality(
        fid=figures["fid_w"],
        fid_ci=figures["fid_w_ci"],
        kid=kernel_distance(own, real),
        prompt=figures["crops"],
        seam=figures["seam"],
        diversity=spread(own) / spread(real),
    )


def as_tensor(picture: Image) -> Tensor:
    """[3, H, W] in 0..1."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255


def _drawn(scene: Scene, size: Size) -> Tensor:
    pixels = render(replace(scene, seed=scene.seed + 10**6), size).pixels
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def native_crops(pictures: Tensor) -> Tensor:
    """Crops [n, 3, 256, 256] of pictures [B, 3, H, W], side by side at every half of their side."""
    tiles = pictures.unfold(2, NATIVE, NATIVE // 2).unfold(3, NATIVE, NATIVE // 2)
    return tiles.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Unbiased squared MMD with the cubic kernel on features scaled by b's spread (Binkowski et al. 2018, eq. 4)."""
    scale = b.double().std(0) + 1e-6
    a, b = a.double() / scale, b.double() / scale

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.trace()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


def spread(features: Tensor) -> float:
    """Mean distance between different rows of features [n, F]."""
    return float(torch.pdist(features.double()).mean())
