"""Scenes drawn by several processes into one array on disk: seeds 0..count-1 for training, others stay fresh."""

import logging
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from small_world.renderer import render
from small_world.scene import random_scene

LOGGER = logging.getLogger(__name__)
CHUNK = 250


def scenes(folder: Path, count: int, side: int = 256, workers: int = 2) -> Path:
    """Return the .npy file with pictures of `random_scene(0..count-1)`, [count, side, side, 3]; draw them if needed."""
    path = folder / f"scenes-{count}-{side}.npy"
    if not path.exists():
        part = path.with_suffix(".part")
        np.lib.format.open_memmap(part, "w+", np.uint8, (count, side, side, 3)).flush()
        with ProcessPoolExecutor(workers) as pool:
            for done in pool.map(partial(_draw, part, side, count), range(0, count, CHUNK)):
                LOGGER.info("drawn %d of %d scenes", done, count)
        part.rename(path)
    return path


def _draw(path: Path, side: int, count: int, first: int) -> int:
    pictures = np.lib.format.open_memmap(path, "r+")
    last = min(count, first + CHUNK)
    for seed in range(first, last):
        pictures[seed] = render(random_scene(seed), (side, side)).pixels
    return last
