"""The pictures of a training as latents, encoded once and kept beside its state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib_instantas.training.pictures import Example


def latents_of(
    pipeline: Any, examples: Sequence[Example], folder: Path, progress: Callable[[int], None]
) -> list[Tensor]:
    """The scaled latents [C, h, w] in half precision of each example, read from the folder where they were kept.

    `progress` is told how many pictures are done.
    """
    file = folder / f"latents-{_digest(examples)}.pt"
    if file.exists():
        kept: list[Tensor] = torch.load(file, weights_only=True)
        progress(len(kept))
        return kept
    latents: list[Tensor] = []
    for example in examples:
        latents.append(_encoded(pipeline, example))
        progress(len(latents))
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(latents, file.with_suffix(".part"))
    file.with_suffix(".part").replace(file)
    return latents


@torch.no_grad()
def _encoded(pipeline: Any, example: Example) -> Tensor:
    vae = pipeline.vae
    if vae.config.force_upcast:  # SDXL's overflows in half precision
        vae.float()
    values = pipeline.image_processor.preprocess(example.picture()).to(vae.device, vae.dtype)
    latents: Tensor = vae.encode(values).latent_dist.mean * vae.config.scaling_factor
    return latents[0].half().cpu()


def _digest(examples: Sequence[Example]) -> str:
    """Changes with the pictures, their sizes and their order."""
    parts = [f"{e.file.resolve()} {e.file.stat().st_mtime_ns} {e.file.stat().st_size} {e.size}" for e in examples]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
