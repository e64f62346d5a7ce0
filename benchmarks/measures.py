"""Measures of picture quality for Small World. Pictures are [B, 3, H, W] in 0..1, axes "x" (along the width) or "y".

No measure stands alone: a ruined picture has no seam, and a picture with hard joints keeps to its prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from small_world.judge import STRIDE, Judge
from small_world.scene import THINGS, Scene
from small_world.train_judge import labels

CELL = 8
"""Image pixels to a latent pixel: the decoder makes a small step at each multiple, and tile borders lie on some."""

MEDIAN_OF_NOISE = 0.6745
"""The median of |x| where x is normal noise of deviation 1."""


@dataclass(frozen=True)
class Seam:
    """Step across the lines over the step elsewhere: of all lines together, and of the worst one. 1 means no seam."""

    mean: float
    worst: float


def steps(pictures: Tensor, axis: str = "x") -> Tensor:
    """Return the mean absolute difference of neighbouring pixels across each multiple of 8, [B, size/8 - 1]."""
    flat = pictures if axis == "x" else pictures.transpose(2, 3)
    across = (flat[..., CELL::CELL] - flat[..., CELL - 1 : -1 : CELL]).abs()
    return across.mean((1, 2))


def seam(pictures: Tensor, lines: Sequence[int], axis: str = "x") -> Seam:
    """Return how much stronger the picture steps at these lines (image pixels) than at other multiples of 8.

    The steps are averaged over all pictures before they are compared, since one picture's own edges are as strong
    as any seam. Raises ValueError if a line is not an inner multiple of 8.
    """
    return seam_in(steps(pictures, axis), lines)


def seam_in(found: Tensor, lines: Sequence[int]) -> Seam:
    """Return the same from the `steps` of the pictures."""
    profile = found.mean(0)
    inner = range(CELL, CELL * (len(profile) + 1), CELL)
    if not lines or any(line not in inner for line in lines):
        raise ValueError(f"lines must be multiples of 8 between 8 and {CELL * len(profile)}, got {list(lines)}")
    at = torch.zeros(len(profile), dtype=torch.bool)
    at[[line // CELL - 1 for line in lines]] = True
    elsewhere = profile[~at].mean().clamp(min=1e-8)
    return Seam(float(profile[at].mean() / elsewhere), float(profile[at].max() / elsewhere))


def spread(pictures: Tensor, axis: str = "x", window: int = 128) -> Tensor:
    """Return how far the mean colours of windows along the axis lie apart, [B], in 0..255 units.

    Along the width, the uppermost and the lowest quarter (sky and ground) count apart, so that things in the middle
    do not; along the height, each window's columns all count.
    """
    if axis == "x":
        quarter = pictures.shape[2] // 4
        bands = [pictures[:, :, :quarter].mean(2), pictures[:, :, -quarter:].mean(2)]
    else:
        bands = [pictures.mean(3)]
    means = [F.avg_pool1d(band, window, window // 2) for band in bands]
    return 255 * torch.stack([mean.std(2).norm(dim=1) for mean in means]).mean(0)


def colour_drift(pictures: Tensor, drawn: Tensor, axis: str = "x") -> Tensor:
    """Return the spread of window colours beyond the mean of drawn pictures of the same scenes and size, [B]."""
    return spread(pictures, axis) - spread(drawn, axis).mean()


@dataclass(frozen=True)
class PromptScore:
    """What of the prompt the judge finds, [B] of 0 or 1 each; NaN for the thing of a prompt that names none."""

    place: Tensor
    time: Tensor
    thing: Tensor

    @property
    def all(self) -> Tensor:
        """Share of place, time and thing (if named) that is right, [B]."""
        return torch.stack([self.place, self.time, self.thing]).nanmean(0)


def prompt_score(judge: Judge, pictures: Tensor, scenes: Sequence[Scene]) -> PromptScore:
    """Return whether each picture shows its scene's place, time and thing."""
    verdict, wanted = judge.verdict(pictures), labels(scenes)
    named = torch.tensor([scene.thing is not None for scene in scenes])
    thing = (verdict.thing == wanted[:, 2]).float()
    return PromptScore(
        (verdict.place == wanted[:, 0]).float(),
        (verdict.time == wanted[:, 1]).float(),
        torch.where(named, thing, torch.nan),
    )


def frechet(first: Tensor, second: Tensor) -> float:
    """Return the Frechet distance of two Gaussians fitted to features [N, D] (Heusel et al. 2017, eq. 6)."""
    (mean1, cov1), (mean2, cov2) = (_gaussian(features.double()) for features in (first, second))
    # The eigenvalues of a product of two positive semidefinite matrices are real and not negative.
    root = torch.linalg.eigvals(cov1 @ cov2).real.clamp(min=0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * root)


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    return features.mean(0), torch.cov(features.T)


def object_count(judge: Judge, pictures: Tensor, thing: str, threshold: float = 0.4) -> Tensor:
    """Return how often a thing is seen on each picture of any size, [B]: peaks of the judge's map, 40 pixels apart."""
    heat = judge.verdict(pictures).things[:, THINGS.index(thing)]
    reach = 2 * (40 // STRIDE) + 1
    highest = F.max_pool2d(heat[:, None], reach, 1, reach // 2)[:, 0]
    return ((heat == highest) & (heat > threshold)).sum((1, 2))


def interval(values: Tensor) -> tuple[float, float]:
    """Return mean and half of the 95 % confidence interval of independent values, leaving out NaN."""
    values = values.double()[~values.isnan()]
    if len(values) < 2:
        return float(values.mean()), float("nan")
    return float(values.mean()), float(1.96 * values.std() / len(values) ** 0.5)


def bootstrap(statistic: Callable[[Tensor], float], count: int, draws: int = 100) -> float:
    """Return half of the 95 % interval of a statistic of `count` pictures, drawing them again with replacement."""
    generator = torch.Generator().manual_seed(0)
    values = [statistic(torch.randint(count, (count,), generator=generator)) for _ in range(draws)]
    return 1.96 * float(torch.tensor(values, dtype=torch.float64).std())


def grain(pictures: Tensor, block: int = 16) -> Tensor:
    """How far pixels lie from the mean of the 3x3 around them, [B] in 0..255, in the smooth half of a picture's blocks.

    Blocks are smooth where the means of their quarters lie close together: what is seen there is grain, not drawing.
    """
    each, smooth = _blocks(pictures, block)
    return 255 * (each * smooth).sum(1) / smooth.sum(1)


def detail(pictures: Tensor, block: int = 16) -> Tensor:
    """The same in the other half of a picture's blocks, [B] in 0..255: edges and textures of what is drawn."""
    each, smooth = _blocks(pictures, block)
    return 255 * (each * ~smooth).sum(1) / (~smooth).sum(1).clamp(min=1)


def _blocks(pictures: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """How far a block's pixels lie from the mean around them, and whether it is smooth, [B, blocks]."""
    fine = (pictures - F.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)).abs().mean(1, keepdim=True)
    coarse = F.avg_pool2d(pictures, block // 2)
    highest, lowest = F.max_pool2d(coarse, 2), -F.max_pool2d(-coarse, 2)
    drawing = (highest - lowest).mean(1).flatten(1)
    return F.avg_pool2d(fine, block).flatten(1), drawing <= drawing.median(1, keepdim=True).values


def mottle(pictures: Tensor) -> Tensor:
    """How noisy the colours of latent pixels are, [B] in 0..255: the deviation of noise among cells of 8x8 pixels.

    Grain looks at neighbouring pixels and does not see it. A second difference over 3x3 cells, which flat colours and
    slopes do not move (Immerkaer 1996, "Fast Noise Variance Estimation"), and of it the median: what is drawn is less
    than half of a picture.
    """
    cells = F.avg_pool2d(pictures, CELL).flatten(0, 1)[:, None]
    line = torch.tensor([1.0, -2.0, 1.0], device=pictures.device)
    second = F.conv2d(cells, torch.outer(line, line)[None, None] / 6).abs().flatten(1)
    return 255 * (second.median(1).values / MEDIAN_OF_NOISE).unflatten(0, (-1, pictures.shape[1])).mean(1)


def squared_mmd(a: Tensor, b: Tensor) -> float:
    """Unbiased MMD of features [n, F] and [m, F], squared, cubic kernel (Binkowski et al. 2018, eq. 4)."""
    a, b = a.double(), b.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.trace()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())
