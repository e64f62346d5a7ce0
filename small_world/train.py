"""Makes the model from nothing: scenes, autoencoder, latents, UNet with text encoder, judge.

Every stage goes on where it was interrupted: give the same folder and minutes again.
"""

import logging
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from small_world import train_autoencoder, train_judge, train_unet
from small_world.checkpoint import Model, save
from small_world.dataset import crops, scenes
from small_world.encode import encode_all
from small_world.progress import keep_memory
from small_world.text import write_tokenizer

LOGGER = logging.getLogger(__name__)
SHARES = {"autoencoder": 0.22, "painter": 0.7, "judge": 0.08}
"""How the minutes of training are shared among the stages; drawing and encoding come on top."""


def train(folder: Path, minutes: float, device: str, pictures: int, workers: int) -> Path:
    """Train everything in a folder and return the checkpoint's path; the judge lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    keep_memory()
    budget = {name: share * minutes for name, share in SHARES.items()}
    drawn, squares = scenes(folder, pictures, workers=workers), crops(folder, pictures, workers=workers)
    parallel = workers if device == "cpu" else 1
    coder = train_autoencoder.train(folder, (drawn, squares), budget["autoencoder"], device, parallel)
    whole, close = (encode_all(folder, coder, part, pictures, device, parallel) for part in (drawn, squares))
    write_tokenizer(folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    painter = train_unet.train(folder, whole, close, tokenizer, budget["painter"], device, parallel)
    checkpoint = folder / "small_world.safetensors"
    save(Model(coder, painter, tokenizer), checkpoint)
    train_judge.train(folder, drawn, budget["judge"], device, parallel)
    LOGGER.info("the model is %s, the judge %s", checkpoint, folder / "judge.safetensors")
    return checkpoint


def default_device() -> str:
    """Return "cuda" if there is a usable GPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"
