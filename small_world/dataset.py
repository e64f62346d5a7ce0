"""Scenes drawn by several processes into one array on disk: seeds 0..count-1 for training, others stay fresh."""

import logging
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from small_world.crops import SIDE, draw
from small_world.renderer import render
from small_world.scene import random_scene

LOGGER = logging.getLogger(__name__)
CHUNK = 200
Draw = Callable[[int, int], NDArray[np.uint8]]


def scenes(folder: Path, count: int, side: int = 256, workers: int = 2) -> Path:
    """Return the .npy file with pictures of `random_scene(0..count-1)`, [count, side, side, 3]; draw them if needed."""
    return _drawn(folder / f"scenes-{count}-{side}.npy", partial(_scenes, side), count, side, workers)


def crops(folder: Path, count: int, workers: int = 2) -> Path:
    """Return the .npy file with the squares `crop(0..count-1)`, [count, 256, 256, 3]; draw them if needed."""
    return _drawn(folder / f"crops-{count}.npy", draw, count, SIDE, workers)


def _drawn(path: Path, draw: Draw, count: int, side: int, workers: int) -> Path:
    if not path.exists():
        part = path.with_suffix(".part")
        np.lib.format.open_memmap(part, "w+", np.uint8, (count, side, side, 3)).flush()
        with ProcessPoolExecutor(workers) as pool:
            for done in pool.map(partial(_draw, part, draw, count), range(0, count, CHUNK)):
                LOGGER.info("%s: drawn %d of %d", path.stem, done, count)
        part.rename(path)
    return path


def _scenes(side: int, first: int, last: int) -> NDArray[np.uint8]:
    return np.stack([render(random_scene(seed), (side, side)).pixels for seed in range(first, last)])


def _draw(path: Path, draw: Draw, count: int, first: int) -> int:
    last = min(count, first + CHUNK)
    np.lib.format.open_memmap(path, "r+")[first:last] = draw(first, last)
    return last
