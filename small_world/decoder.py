"""Trains the shipped model's decoder on: the rest of its weights stay, and with them what every latent means.

Noise predictor, LoRAs and whatever was measured on latents hold for the new checkpoint as they did for the old one. It
goes on where it was interrupted: give the same folder and minutes again.
"""

import logging
from pathlib import Path

from small_world import CHECKPOINT, train_autoencoder
from small_world.checkpoint import Model, load, save
from small_world.dataset import crops, scenes
from small_world.progress import keep_memory

LOGGER = logging.getLogger(__name__)


def train(folder: Path, minutes: float, device: str, pictures: int, workers: int) -> Path:
    """Train in a folder for so many minutes on as many scenes as squares; return the new checkpoint's path."""
    folder.mkdir(parents=True, exist_ok=True)
    keep_memory()
    model = load(CHECKPOINT)
    drawn = scenes(folder, pictures, workers=workers), crops(folder, pictures, workers=workers)
    parallel = workers if device == "cpu" else 1
    coder = train_autoencoder.train_decoder(model.autoencoder, folder, drawn, minutes, device, parallel)
    output = folder / CHECKPOINT.name
    save(Model(coder, model.painter, model.tokenizer), output)
    LOGGER.info("the checkpoint is %s", output)
    return output
