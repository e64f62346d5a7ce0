"""Makes the tables' pictures: fixed prompts and seeds, one set for each variant and size, made once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks.report import progress
from benchmarks.table_variants import Variant
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.hosts.synchronising import Features, style_statistics
from lib_instantas.methods import METHODS, Direct, DisplacedGrid, Request
from lib_instantas.methods.fstd import fixed_offset
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import LATENT_SCALE, Size, axes
from small_world.judge import Judge
from small_world.scene import Scene, describe

GUIDANCE = 5.0


@dataclass(frozen=True)
class PictureSet:
    """Pictures of one variant at one size, and the seconds that one took on average (the first left out).

    On a CPU those are seconds of computing, which do not grow when other programs run beside.
    """

    pictures: tuple[Image, ...]
    seconds: float


@dataclass
class Studio:
    """A pipeline, the scenes to make pictures of in how many steps, and the sets made so far."""

    pipeline: Any
    scenes: list[Scene]
    steps: int
    features: Features = style_statistics
    made: dict[tuple[Variant, Size], PictureSet] = field(default_factory=dict)

    def pictures(self, variant: Variant, size: Size) -> PictureSet:
        """The set of a variant at (height, width) image pixels."""
        key = (variant, size)
        if key not in self.made:
            self.made[key] = self._make(variant, size)
            progress(f"{variant.described()} {size[1]}x{size[0]}: {self.made[key].seconds:.1f} s a picture")
        return self.made[key]

    def _make(self, variant: Variant, size: Size) -> PictureSet:
        engine = EnginePainter(self.pipeline, variant, self.features)
        painter = PanoramaPainter(self.pipeline) if variant.peer else engine
        clock = time.perf_counter if self.pipeline.device.type == "cuda" else time.process_time
        pictures, seconds = [], []
        for number, scene in enumerate(self.scenes):
            started = clock()
            with torch.autocast(self.pipeline.device.type, torch.bfloat16):
                pictures.append(painter(describe(scene), size, number, self.steps))
            seconds.append(clock() - started)
        timed = seconds[1:] or seconds
        return PictureSet(tuple(pictures), sum(timed) / len(timed))


@dataclass
class EnginePainter:
    """Pictures through the engine."""

    pipeline: Any
    variant: Variant
    features: Features

    def __call__(self, prompt: str, size: Size, seed: int, steps: int) -> Image:
        """One picture of (height, width) image pixels."""
        settings = parse_settings({"enabled": True, **dict(self.variant.settings)})
        job = Job(prompt, size, settings, seed=seed, steps=steps, guidance=GUIDANCE, sampler="DDIM")
        with _fixed_offsets() if self.variant.fixed_offset else _as_it_is():
            return Generator(self.pipeline, features=self.features)(job).image


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _fixed_offsets() -> Iterator[None]:
    """FSTD with the same offset at every second step instead of a random one: not a choice that users have."""

    def fixed(request: Request) -> Any:
        grid = axes(request.canvas, request.side, request.settings.fit)
        return DisplacedGrid(grid, fixed_offset) if any(a.count > 1 for a in grid) else Direct(request.canvas)

    own, METHODS["FSTD"] = METHODS["FSTD"], fixed
    try:
        yield
    finally:
        METHODS["FSTD"] = own


def judge_features(judge: Judge) -> Features:
    """What SyncDiffusion takes for alike: the judge's features of pictures in -1..1."""

    def features(pictures: Tensor) -> Tensor:
        found: Tensor = judge(pictures.float() / 2 + 0.5)[3]
        return found

    return features


class PanoramaPainter:
    """The outside peer: MultiDiffusion as diffusers has it, on the same weights and seeds.

    Its windows are 64 latent pixels and its stride is 8 whatever the model; here both are scaled to the model's side.
    """

    def __init__(self, pipeline: Any) -> None:
        from diffusers import DDIMScheduler, StableDiffusionPanoramaPipeline

        side = int(pipeline.unet.config.sample_size)
        parts = {name: getattr(pipeline, name) for name in ("vae", "text_encoder", "tokenizer", "unet")}
        scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
        panorama: Any = StableDiffusionPanoramaPipeline
        self.peer = panorama(
            **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
        self.peer.get_views = partial(self.peer.get_views, window_size=side, stride=side // 8)
        self.peer.set_progress_bar_config(disable=True)

    def __call__(self, prompt: str, size: Size, seed: int, steps: int) -> Image:
        """One picture of (height, width) image pixels, beginning with the same noise as the engine's."""
        image: Image = self.peer(
            prompt,
            height=size[0],
            width=size[1],
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(seed),
        ).images[0]
        assert (image.height, image.width) == tuple(side // LATENT_SCALE * LATENT_SCALE for side in size)
        return image
