"""How many horizons a picture of Small World has: its rows are told to be sky or ground as those of drawn scenes are.

For a place and a time of day, scenes of the same size are drawn anew. Their rows, each as the mean and the spread of
its colours, are known to lie above or below the horizon; a row of another picture is what most of the rows most like it
are. A horizon is where sky above changes to ground below. What is told so of drawn scenes: see the tests.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from benchmarks.images import drawn
from small_world.light import LIGHTS
from small_world.scene import PLACES, TIMES, Scene
from small_world.view import view_of

EXAMPLES, NEIGHBOURS = 8, 9
OWN_SEED = 5 * 10**8
"""From here on scenes are drawn to compare with: no others have these seeds."""

BETWEEN = 90.0
"""Native pixels above a horizon in which mountains, trees and houses stand: rows there are neither sky nor ground."""

SHORTEST = 24
"""Rows, in native pixels, below which a change of sky and ground is a cloud, a roof or a wave."""


def horizons(picture: Tensor, scene: Scene) -> int:
    """The number of places where sky above changes to ground below in a picture [3, H, W] in 0..1."""
    is_sky = _settled(_told(picture, scene), SHORTEST)
    return int((is_sky[:-1] & ~is_sky[1:]).sum())


def has_one_horizon(picture: Tensor, scene: Scene) -> bool:
    """Whether there is sky above, ground below, and nothing else."""
    is_sky = _settled(_told(picture, scene), SHORTEST)
    return bool(is_sky[0]) and not bool(is_sky[-1]) and horizons(picture, scene) == 1


def _told(picture: Tensor, scene: Scene) -> Tensor:
    """Which rows are sky, [H] of bool."""
    known, is_sky = _known_rows(scene.place, scene.time, (int(picture.shape[1]), int(picture.shape[2])))
    distance = torch.cdist(_rows(picture), known)
    nearest = distance.topk(NEIGHBOURS, largest=False).indices
    return is_sky[nearest].float().mean(1) > 0.5


def _rows(picture: Tensor) -> Tensor:
    """Mean and spread of the colours of each row, [H, 6]."""
    mean, spread = picture.mean(2).T, picture.std(2).T
    return torch.cat([mean, spread], 1)


@cache
def _known_rows(place: str, time: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    rows, labels = [], []
    for number in range(EXAMPLES):
        scene = Scene(place, time, seed=OWN_SEED + number)
        picture = drawn([scene], size)[0]
        horizon, relief = horizon_of(scene, size)
        row = torch.arange(size[0])
        sure = (row >= horizon + 8) | (row < horizon - BETWEEN * relief)
        rows.append(_rows(picture)[sure])
        labels.append((row < horizon)[sure])
    return torch.cat(rows), torch.cat(labels)


def horizon_of(scene: Scene, size: tuple[int, int]) -> tuple[float, float]:
    """The row of a drawn scene's horizon in pixels, and how much higher than native its mountains are."""
    bare = replace(scene, thing=None, colour=None)
    entropy = [bare.seed, PLACES.index(bare.place), TIMES.index(bare.time)]
    view = view_of(*size, LIGHTS[bare.time], np.random.default_rng(entropy))
    return view.horizon, view.relief


def _settled(is_sky: Tensor, shortest: int) -> Tensor:
    """Runs shorter than so many rows belong to what is around them; the shortest goes first."""
    values = is_sky.tolist()
    while True:
        runs = _runs(values)
        length, start = min((end - begin, begin) for begin, end in runs)
        if len(runs) == 1 or length >= shortest:
            return torch.tensor(values)
        values[start : start + length] = [not values[start]] * length


def _runs(values: list[bool]) -> list[tuple[int, int]]:
    edges = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1]), len(values)]
    return list(pairwise(edges))
