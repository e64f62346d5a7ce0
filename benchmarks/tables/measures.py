"""What the tables say of a set of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks.measures import CELL, bootstrap, frechet, object_count, prompt_score, seam_in, squared_mmd, steps
from benchmarks.outside_judge import look
from benchmarks.tables.clip import Clip
from benchmarks.tables.subjects import Subjects
from small_world.judge import Judge
from small_world.scene import Scene

DRAWS = 200

Distance = Callable[[Tensor, Tensor], float]
"""How far features [n, F] lie from features [m, F]."""


@dataclass(frozen=True)
class Eye:
    """Whose features of pictures [B, 3, H, W] in 0..1 tell sets apart, [B, F], and by which distances.

    `names` are those of the distance from crops to the model's own pictures, and of that of whole pictures.
    """

    names: tuple[str, str]
    features: Callable[[Tensor], Tensor]
    distance: Distance


@dataclass(frozen=True)
class Critics:
    """Who judges: an eye always, Small World's judge for Small World's scenes, and CLIP where its weights are."""

    eye: Eye
    judge: Judge | None = None
    clip: Clip | None = None


def critics_of_small_world(judge: Judge, clip: Clip | None = None) -> Critics:
    """Everything in the features of the judge of drawn scenes."""
    return Critics(Eye(("FID-W", "FID-B"), partial(features_of, judge), frechet), judge, clip)


def critics_of_any_model(clip: Clip | None = None) -> Critics:
    """The outside judge, whose 1280 features are too many for a Frechet distance of so few pictures."""
    return Critics(Eye(("KID-E", "KID-EB"), lambda pictures: look(pictures).features, thousandfold), None, clip)


@dataclass(frozen=True)
class Quality:
    """Measures of one set of pictures; `prompt`, `clip` and `diversity` are better when higher, all others when lower.

    `distance` is the eye's from crops to the model's own pictures, `interval` half of its 95 % interval, `kid` the
    unbiased kernel distance in the judge's features, `prompt` the share of crops whose place and time are the prompt's,
    `clip` the cosine between crops and prompt, `seam` the step across the resting grid's lines over that across other
    multiples of 8 pixels, `diversity` how far apart the crops lie, the model's own pictures being 1. What nobody
    could judge is None.
    """

    distance: float
    interval: float
    seam: float
    kid: float | None = None
    prompt: float | None = None
    clip: float | None = None
    diversity: float | None = None


@dataclass(frozen=True)
class Judged:
    """A set's measures, its crops' features, [pictures, crops, F], and its pictures' steps at multiples of 8 pixels.

    `steps` are by axis, [pictures, multiples], where the picture is larger than the model's `side`.
    """

    quality: Quality
    features: Tensor
    steps: Mapping[str, Tensor]
    side: int


@dataclass(frozen=True)
class Difference:
    """A difference of two figures with half of its 95 % interval; `told` says whether it is one at all."""

    value: float
    interval: float

    @property
    def told(self) -> bool:
        """Whether the interval leaves out zero."""
        return abs(self.value) > self.interval

    @property
    def verdict(self) -> str:
        """Whether the first is lower or higher, or else between what the difference lies."""
        if self.told:
            return f"{'lower' if self.value < 0 else 'higher'}, {self}"
        low, high = self.value - self.interval, self.value + self.interval
        return f"not told apart, the difference lies between {low:+.2g} and {high:+.2g}"

    def __str__(self) -> str:
        return f"{self.value:+.3g} ± {self.interval:.2g}"


def measure(critics: Critics, pictures: Sequence[Image], subjects: Subjects, side: int, own: Tensor) -> Judged:
    """The quality of pictures of these subjects, one each, all of one size.

    `side` is that of the pictures that the model knows, `own` the features of its own pictures of the subjects,
    [subjects, pictures of each, F].
    """
    values = torch.stack([as_tensor(picture) for picture in pictures])
    crops = native_crops(values, side)
    each = len(crops) // len(subjects)
    features = critics.eye.features(crops).unflatten(0, (len(subjects), each))
    distance = partial(distance_of, features, own, critics.eye.distance)
    known: dict[str, float] = {}
    if critics.judge is not None:
        scenes = [scene for scene in subjects.scenes for _ in range(each)]
        known["kid"] = kernel_distance(features.flatten(0, 1), own.flatten(0, 1))
        known["prompt"] = places_and_times(critics.judge, crops, scenes)
        known["diversity"] = spread(features.flatten(0, 1)) / spread(own.flatten(0, 1))
    if critics.clip is not None:
        prompts = [prompt for prompt in subjects.prompts for _ in range(each)]
        known["clip"] = float(critics.clip.scores(crops, prompts).mean())
    everything = torch.arange(len(subjects))
    interval = bootstrap(distance, len(subjects), DRAWS)
    found = steps_of(values, side)
    quality = Quality(distance(everything), interval, worst_seam(found, side, everything), **known)
    return Judged(quality, features, found, side)


def whole(critics: Critics, shrunk: Tensor, subjects: Subjects, own: Tensor) -> tuple[dict[str, float], Tensor]:
    """Measures of whole pictures shrunk to the model's size [n, 3, side, side], and the eye's features [n, 1, F]."""
    features = critics.eye.features(shrunk)[:, None]
    figures = {"distance": distance_of(features, own, critics.eye.distance, torch.arange(len(shrunk)))}
    if critics.judge is not None:
        figures["kid"] = kernel_distance(features.flatten(0, 1), own.flatten(0, 1))
        figures["prompt"] = places_and_times(critics.judge, shrunk, subjects.scenes)
        figures["things"] = things_seen(critics.judge, shrunk, subjects.scenes)
    if critics.clip is not None:
        figures["clip"] = float(critics.clip.scores(shrunk, subjects.prompts).mean())
    return figures, features


def places_and_times(judge: Judge, pictures: Tensor, scenes: Sequence[Scene]) -> float:
    """The share of places and times that are the scenes'."""
    score = prompt_score(judge, pictures, scenes)
    return float(torch.stack([score.place, score.time]).mean())


def things_seen(judge: Judge, pictures: Tensor, scenes: Sequence[Scene]) -> float:
    """How often the thing of a scene is seen on its picture, the mean."""
    counts = [object_count(judge, one[None], scene.thing or "") for one, scene in zip(pictures, scenes, strict=True)]
    return float(torch.cat(counts).float().mean())


def compare(first: Tensor, second: Tensor, own: Tensor, distance: Distance = frechet) -> Difference:
    """The first's distance less the second's, from features of the same subjects made from the same seeds.

    Both draw the same subjects again and again: what is hard about a subject is hard for both and cancels out.
    """

    def difference(rows: Tensor) -> float:
        return distance_of(first, own, distance, rows) - distance_of(second, own, distance, rows)

    count = len(first)
    return Difference(difference(torch.arange(count)), bootstrap(difference, count, DRAWS))


def compare_seams(first: Judged, second: Judged) -> Difference:
    """The first's seam less the second's, of the same subjects made from the same seeds."""

    def difference(rows: Tensor) -> float:
        return worst_seam(first.steps, first.side, rows) - worst_seam(second.steps, second.side, rows)

    count = len(first.features)
    return Difference(difference(torch.arange(count)), bootstrap(difference, count, DRAWS))


def distance_of(features: Tensor, own: Tensor, distance: Distance, subjects: Tensor) -> float:
    """The distance of the crops of these subjects to the model's own pictures of the same subjects."""
    return distance(features[subjects].flatten(0, 1), own[subjects].flatten(0, 1))


def features_of(judge: Judge, pictures: Tensor) -> Tensor:
    """The judge's features of pictures [B, 3, H, W], [B, F]."""
    return torch.cat([judge.verdict(part).features for part in pictures.split(32)])


def as_tensor(picture: Image) -> Tensor:
    """[3, H, W] in 0..1."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255


def native_crops(pictures: Tensor, side: int) -> Tensor:
    """Crops [n, 3, side, side] of pictures [B, 3, H, W], next to each other at every half of their side.

    All of the first picture come first.
    """
    tiles = pictures.unfold(2, side, side // 2).unfold(3, side, side // 2)
    return tiles.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def steps_of(pictures: Tensor, side: int) -> dict[str, Tensor]:
    """The pictures' steps at multiples of 8 pixels, along each axis on which a resting grid has lines."""
    height, width = pictures.shape[-2:]
    return {axis: steps(pictures, axis) for axis, length in (("x", width), ("y", height)) if length > side}


def worst_seam(found: Mapping[str, Tensor], side: int, rows: Tensor) -> float:
    """The step across the lines of a resting grid over that elsewhere, of the axis where it is larger."""

    def lines(of_axis: Tensor) -> list[int]:
        return list(range(side, CELL * (of_axis.shape[1] + 1), side))

    return max(seam_in(of_axis[rows], lines(of_axis)).mean for of_axis in found.values())


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Unbiased squared MMD of features over b's root mean variance, cubic kernel (Binkowski et al. 2018, eq. 4)."""
    scale = b.double().var(0).mean().sqrt()
    return squared_mmd(a.double() / scale, b.double() / scale)


def thousandfold(a: Tensor, b: Tensor) -> float:
    """Unbiased squared MMD of features as they are, times 1000, as KID is printed."""
    return 1000 * squared_mmd(a, b)


def spread(features: Tensor) -> float:
    """Mean distance between different rows of features [n, F]."""
    return float(torch.pdist(features.double()).mean())
