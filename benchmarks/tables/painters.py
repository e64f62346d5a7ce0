"""One picture of the tables: what is asked for, and who paints it, the engine or the outside peer."""

from __future__ import annotations

import re
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.outside_judge import is_here, perceived
from benchmarks.tables.changes import changed
from benchmarks.tables.variants import Variant
from lib_instantas.hosts.staging import native_of
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.hosts.synchronising import style_statistics
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import LATENT_SCALE, Size
from small_world import CHECKPOINT

TILE_PIXELS = 32 * 32**2
"""Latent pixels at once, for every method alike: one at a time, the small tiles of a small model would cost twice."""
MOST_TILES = 64
"""What the setting `tile_batch` allows."""


@dataclass(frozen=True)
class Order:
    """One picture that is asked for, of (height, width) image pixels."""

    variant: Variant
    size: Size
    prompt: str
    seed: int
    steps: int

    def name(self) -> str:
        """A name for its file, in a folder of its variant's."""
        settings = self.variant.described().replace(" ", "-").replace(",", "") or "peer"
        change = f"-{self.variant.change}" if self.variant.change else ""
        prompt = re.sub(r"\W+", "-", self.prompt)
        if len(prompt) > LONGEST_NAME:
            prompt = f"{prompt[:LONGEST_NAME]}-{zlib.crc32(self.prompt.encode()):08x}"
        return f"{settings}{change}/{self.size[1]}x{self.size[0]}-{self.steps}-{self.seed}-{prompt}"


LONGEST_NAME = 120
"""Characters of a prompt that a file's name has room for."""


def is_small_world(model: Path) -> bool:
    """Whether a checkpoint is the one that ships with the project."""
    return model.resolve() == CHECKPOINT.resolve()


def tiles_at_once(native: int) -> int:
    """As many as have TILE_PIXELS together, for tiles of so many latent pixels a side."""
    return min(MOST_TILES, max(1, TILE_PIXELS // native**2))


def job_of(order: Order, native: int, guidance: float) -> Job:
    """An order for the engine, with a model that knows so many latent pixels a side."""
    settings = {"enabled": True, "tile_batch": tiles_at_once(native), **dict(order.variant.settings)}
    return Job(
        order.prompt, order.size, parse_settings(settings), seed=order.seed, steps=order.steps,
        guidance=guidance, sampler="DDIM",
    )  # fmt: skip


def painted(pipeline: Any, order: Order, guidance: float) -> Image.Image:
    """A picture through the engine; for SyncDiffusion the outside judge says what is alike, where it is installed."""
    job = job_of(order, native_of(pipeline), guidance)
    features = perceived if is_here() else style_statistics
    with changed(job.settings.method, order.variant.change) if order.variant.change else nullcontext():
        return Generator(pipeline, features=features)(job).image


def panorama(pipeline: Any, order: Order, guidance: float) -> Image.Image:
    """The outside peer's: MultiDiffusion as diffusers has it, on the same weights, beginning with the same noise.

    Its windows are 64 latent pixels and its stride is 8 whatever the model; here both are scaled to the model's side.
    """
    peer = _panorama_pipeline(pipeline)
    image: Image.Image = peer(
        order.prompt,
        height=order.size[0],
        width=order.size[1],
        num_inference_steps=order.steps,
        guidance_scale=guidance,
        view_batch_size=tiles_at_once(native_of(pipeline)),
        generator=torch.Generator("cpu").manual_seed(order.seed),
    ).images[0]
    assert (image.height, image.width) == tuple(side // LATENT_SCALE * LATENT_SCALE for side in order.size)
    return image


def _panorama_pipeline(pipeline: Any) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPanoramaPipeline

    side = native_of(pipeline)
    parts = {name: getattr(pipeline, name) for name in ("vae", "text_encoder", "tokenizer", "unet")}
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    make: Any = StableDiffusionPanoramaPipeline
    peer = make(
        **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    peer.get_views = partial(peer.get_views, window_size=side, stride=side // 8)
    peer.set_progress_bar_config(disable=True)
    return peer
