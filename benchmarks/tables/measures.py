"""What the tables say of a set of pictures, on top of `benchmarks.quality`'s measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks.measures import bootstrap, frechet, squared_mmd
from benchmarks.quality import assess
from lib_instantas.tiling import Size
from small_world import NATIVE
from small_world.judge import Judge
from small_world.scene import Scene

DRAWS = 200


@dataclass(frozen=True)
class Quality:
    """Measures of one set of pictures; `prompt` and `diversity` are better when higher, all others when lower.

    `fid` is the Frechet distance in the judge's features from crops to the model's own pictures (FID-W), `fid_ci` half
    of its 95 % interval, `kid` the unbiased kernel distance in the same features, `prompt` the share of crops whose
    place and time are the prompt's, `seam` the step across the resting grid's lines over that across other multiples
    of 8 pixels, `diversity` how far apart the crops lie, the model's own pictures being 1.
    """

    fid: float
    fid_ci: float
    kid: float
    prompt: float
    seam: float
    diversity: float


@dataclass(frozen=True)
class Judged:
    """A set's measures and its crops' features, [pictures, crops, F]."""

    quality: Quality
    features: Tensor


@dataclass(frozen=True)
class Difference:
    """A difference of two figures with half of its 95 % interval; `told` says whether it is one at all."""

    value: float
    interval: float

    @property
    def told(self) -> bool:
        """Whether the interval leaves out zero."""
        return abs(self.value) > self.interval

    def __str__(self) -> str:
        return f"{self.value:+.3g} ± {self.interval:.2g}"


def measure(judge: Judge, pictures: Sequence[Image], scenes: list[Scene], size: Size, own: Tensor) -> Judged:
    """The quality of pictures that were made for these scenes, one each, at (height, width) image pixels.

    `own` are the features of the model's own pictures of the scenes, [scenes, pictures of each, F].
    """
    values = torch.stack([as_tensor(picture) for picture in pictures])
    figures = assess(judge, values, scenes, size)
    features = features_of(judge, native_crops(values)).unflatten(0, (len(scenes), -1))
    quality = Quality(
        fid=distance(features, own, torch.arange(len(scenes))),
        fid_ci=bootstrap(lambda rows: distance(features, own, rows), len(scenes), DRAWS),
        kid=kernel_distance(features.flatten(0, 1), own.flatten(0, 1)),
        prompt=figures["crops"],
        seam=figures["seam"],
        diversity=spread(features.flatten(0, 1)) / spread(own.flatten(0, 1)),
    )
    return Judged(quality, features)


def compare(first: Tensor, second: Tensor, own: Tensor) -> Difference:
    """The first's FID-W less the second's, from features of the same scenes made from the same seeds.

    Both draw the same scenes again and again: what is hard about a scene is hard for both and cancels out.
    """

    def difference(rows: Tensor) -> float:
        return distance(first, own, rows) - distance(second, own, rows)

    count = len(first)
    return Difference(difference(torch.arange(count)), bootstrap(difference, count, DRAWS))


def distance(features: Tensor, own: Tensor, scenes: Tensor) -> float:
    """The Frechet distance of the crops of these scenes to the model's own pictures of the same scenes."""
    return frechet(features[scenes].flatten(0, 1), own[scenes].flatten(0, 1))


def features_of(judge: Judge, pictures: Tensor) -> Tensor:
    """The judge's features of pictures [B, 3, H, W], [B, F]."""
    return torch.cat([judge.verdict(part).features for part in pictures.split(32)])


def as_tensor(picture: Image) -> Tensor:
    """[3, H, W] in 0..1."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255


def native_crops(pictures: Tensor) -> Tensor:
    """Crops [n, 3, 256, 256] of pictures [B, 3, H, W], side by side at every half of their side, picture by picture."""
    tiles = pictures.unfold(2, NATIVE, NATIVE // 2).unfold(3, NATIVE, NATIVE // 2)
    return tiles.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Unbiased squared MMD of features over b's root mean variance, cubic kernel (Binkowski et al. 2018, eq. 4)."""
    scale = b.double().var(0).mean().sqrt()
    return squared_mmd(a.double() / scale, b.double() / scale)


def spread(features: Tensor) -> float:
    """Mean distance between different rows of features [n, F]."""
    return float(torch.pdist(features.double()).mean())
