"""Turns drawn scenes into the scaled latents that the UNet learns from, by several processes into one array on disk."""

import logging
from pathlib import Path

import numpy as np
import torch

from small_world.autoencoder import Autoencoder
from small_world.checkpoint import SCALE
from small_world.progress import on_workers
from small_world.train_autoencoder import as_input, encode

LOGGER = logging.getLogger(__name__)
CHUNK = 20


def encode_all(folder: Path, model: Autoencoder, pictures: Path, count: int, device: str, workers: int) -> Path:
    """Return the .npy file of the scaled latents of the first `count` pictures, [count, 4, h, w] in fp16."""
    path = folder / f"latents-of-{pictures.stem}-{count}.npy"
    if not path.exists():
        side = np.load(pictures, mmap_mode="r").shape[1] // 8
        part = path.with_suffix(".part")
        np.lib.format.open_memmap(part, "w+", np.float16, (count, 4, side, side)).flush()
        on_workers(_work, workers, model, pictures, part, device, workers)
        part.rename(path)
    return path


def _work(worker: int, model: Autoencoder, pictures: Path, path: Path, device: str, workers: int) -> None:
    latents = np.lib.format.open_memmap(path, "r+")
    source = np.load(pictures, mmap_mode="r")
    for first in range(worker * CHUNK, len(latents), workers * CHUNK):
        rows = slice(first, min(first + CHUNK, len(latents)))
        with torch.no_grad():
            z = encode(model, as_input(np.asarray(source[rows]), device)) * SCALE
        latents[rows] = z.cpu().half().numpy()
        if first % (50 * CHUNK) == 0:
            LOGGER.info("encoded %d of %d scenes", first, len(latents))
    latents.flush()
