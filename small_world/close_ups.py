"""Teaches the shipped model squares of larger scenes, and writes what it learnt as a LoRA for the second of two stages.

The shipped weights stay as they are. It goes on where it was interrupted: give the same folder and minutes again.
"""

import logging
from pathlib import Path

from small_world import CHECKPOINT, train_unet
from small_world.checkpoint import Model, load, save
from small_world.dataset import crops, scenes
from small_world.difference import write
from small_world.encode import encode_all
from small_world.progress import Training, channels_last, keep_memory
from small_world.train_unet import Painter

LOGGER = logging.getLogger(__name__)
RATE = 3e-4


def train(folder: Path, minutes: float, device: str, pictures: int, workers: int) -> Path:
    """Train in a folder for so many minutes and return the LoRA's path; the checkpoint that it is of lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    keep_memory()
    model = load(CHECKPOINT)
    parallel = workers if device == "cpu" else 1
    model.autoencoder.to(device)
    whole, close = (
        encode_all(folder, model.autoencoder, part, pictures, device, parallel)
        for part in (scenes(folder, pictures, workers=workers), crops(folder, pictures, workers=workers))
    )
    _begin(folder, model, minutes, device)
    painter = train_unet.train(folder, whole, close, model.tokenizer, minutes, device, parallel, RATE)
    taught, output = folder / "taught.safetensors", folder / "close-ups.safetensors"
    save(Model(model.autoencoder, painter, model.tokenizer), taught)
    write(CHECKPOINT, taught, output)
    LOGGER.info("the LoRA is %s", output)
    return output


def _begin(folder: Path, model: Model, minutes: float, device: str) -> None:
    if not (folder / "painter.pt").exists():
        painter = Painter(model.tokenizer)
        channels_last(painter, device)
        painter.load_state_dict(model.painter.state_dict())
        Training("painter", painter, folder, minutes, RATE).save()
