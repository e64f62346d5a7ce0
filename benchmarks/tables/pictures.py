"""Makes the tables' pictures: fixed prompts and seeds, one set for each variant and size, made once."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional as F

from benchmarks.report import progress
from benchmarks.tables.changes import changed
from benchmarks.tables.variants import DIRECT, Variant
from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.hosts.synchronising import Features
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import LATENT_SCALE, Size
from small_world.judge import Judge, load_judge
from small_world.progress import channels_last, keep_memory
from small_world.scene import Scene, describe

GUIDANCE = 5.0
OWN_PICTURES = 8
"""Pictures of the model's own size for each prompt, which FID-W compares with."""
TILE_BATCH = 32
"""Tiles at once, for every method alike: one at a time, the small tiles of a small model would cost twice."""


@dataclass(frozen=True)
class PictureSet:
    """Pictures of one variant at one size, and the median of the seconds that one took.

    On a CPU those are seconds of computing, which do not grow when other programs run beside.
    """

    pictures: tuple[Image.Image, ...]
    seconds: float


@dataclass(frozen=True)
class Easel:
    """Paints with a checkpoint on a device, in as many processes as there are workers; here if it is one.

    What was painted is kept as PNG in `folder`, if there is one, and not painted again.
    """

    model: Path
    device: str = "cpu"
    workers: int = 1
    folder: Path | None = None

    @property
    def pipeline(self) -> Any:
        """The checkpoint, loaded in this process."""
        return _pipeline(self.model, self.device)

    def paint(self, orders: list[Order]) -> list[tuple[Image.Image, float]]:
        """Pictures and the seconds of each."""
        if self.workers == 1:
            return [self.paint_one(order) for order in orders]
        return list(_workers(self.workers).map(self.paint_one, orders))

    def paint_one(self, order: Order) -> tuple[Image.Image, float]:
        """One picture, painted or taken from the folder."""
        file = self.folder / f"{order.name()}.png" if self.folder else None
        if file and file.exists():
            with Image.open(file) as picture:
                return picture.convert("RGB"), float(picture.info["seconds"])
        picture, seconds = self._painted(order)
        if file:
            info = PngInfo()
            info.add_text("seconds", str(seconds))
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            picture.save(part, "PNG", pnginfo=info)
            part.replace(file)
        return picture, seconds

    def _painted(self, order: Order) -> tuple[Image.Image, float]:
        peer = PanoramaPainter if order.variant.peer else partial(EnginePainter, variant=order.variant)
        painter = peer(self.pipeline)
        clock = time.perf_counter if self.device == "cuda" else time.process_time
        started = clock()
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            picture = painter(order.prompt, order.size, order.seed, order.steps)
        return picture, clock() - started


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
        return (
            f"{settings}{change}/{self.size[1]}x{self.size[0]}-{self.steps}-{self.seed}-{self.prompt.replace(' ', '-')}"
        )


@cache
def _pipeline(model: Path, device: str) -> Any:
    pipeline = load_pipeline(model, device)
    for network in (pipeline.unet, pipeline.vae):
        channels_last(network, device)
    return pipeline


@cache
def _workers(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, torch.multiprocessing.get_context("spawn"), _prepare_worker)


def _prepare_worker() -> None:
    torch.set_num_threads(1)
    keep_memory()


@dataclass
class PictureSets:
    """An easel, the scenes to make pictures of in how many steps, and the sets made so far."""

    easel: Easel
    scenes: list[Scene]
    steps: int
    made: dict[tuple[Variant, Size], PictureSet] = field(default_factory=dict)
    _own: list[PictureSet] = field(default_factory=list)

    def own(self) -> tuple[Image.Image, ...]:
        """The model's own pictures of the size that it knows, OWN_PICTURES for each scene, scene by scene."""
        if not self._own:
            side = int(self.easel.pipeline.unet.config.sample_size) * LATENT_SCALE
            repeated = [scene for scene in self.scenes for _ in range(OWN_PICTURES)]
            self._own.append(self._make(DIRECT, (side, side), repeated, first_seed=10**4))
            progress(f"{len(repeated)} pictures of the model's own size: {self._own[0].seconds:.1f} s a picture")
        return self._own[0].pictures

    def pictures(self, variant: Variant, size: Size) -> PictureSet:
        """The set of a variant at (height, width) image pixels."""
        key = (variant, size)
        if key not in self.made:
            self.made[key] = self._make(variant, size, self.scenes)
            progress(f"{variant.described()} {size[1]}x{size[0]}: {self.made[key].seconds:.1f} s a picture")
        return self.made[key]

    def _make(self, variant: Variant, size: Size, scenes: list[Scene], first_seed: int = 0) -> PictureSet:
        seeded = enumerate(scenes, first_seed)
        orders = [Order(variant, size, describe(scene), seed, self.steps) for seed, scene in seeded]
        pictures, seconds = zip(*self.easel.paint(orders), strict=True)
        return PictureSet(pictures, median(seconds))


@dataclass
class EnginePainter:
    """Pictures through the engine; for SyncDiffusion the judge's features say what is alike."""

    pipeline: Any
    variant: Variant

    def __call__(self, prompt: str, size: Size, seed: int, steps: int) -> Image.Image:
        """One picture of (height, width) image pixels."""
        settings = parse_settings({"enabled": True, "tile_batch": TILE_BATCH, **dict(self.variant.settings)})
        job = Job(prompt, size, settings, seed=seed, steps=steps, guidance=GUIDANCE, sampler="DDIM")
        features = judge_features(load_judge())
        with changed(settings.method, self.variant.change) if self.variant.change else nullcontext():
            return Generator(self.pipeline, features=features)(job).image


def judge_features(judge: Judge) -> Features:
    """What SyncDiffusion takes for alike: the judge's features of pictures in -1..1.

    Their directions alone, so that the mean square of a difference lies between 0 and 1 as LPIPS, on which the
    method's weight rests, mostly does.
    """

    def features(pictures: Tensor) -> Tensor:
        found: Tensor = judge(pictures.float().cpu() / 2 + 0.5)[3]
        return F.normalize(found) * (found.shape[1] / 2) ** 0.5

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

    def __call__(self, prompt: str, size: Size, seed: int, steps: int) -> Image.Image:
        """One picture of (height, width) image pixels, beginning with the same noise as the engine's."""
        image: Image.Image = self.peer(
            prompt,
            height=size[0],
            width=size[1],
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            view_batch_size=TILE_BATCH,
            generator=torch.Generator("cpu").manual_seed(seed),
        ).images[0]
        assert (image.height, image.width) == tuple(side // LATENT_SCALE * LATENT_SCALE for side in size)
        return image
