"""Makes the tables' pictures: fixed prompts and seeds, one set for each variant and size, made once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from benchmarks.report import progress
from benchmarks.tables.painters import Order, is_small_world, job_of, painted, panorama
from benchmarks.tables.subjects import Subjects
from benchmarks.tables.variants import DIRECT, OWN, Shape, Variant
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.staging import native_of
from lib_instantas.hosts.standalone import Generator
from lib_instantas.tiling import LATENT_SCALE, Size
from small_world.precision import autocast
from small_world.progress import channels_last, keep_memory

OWN_PICTURES = 8
"""Pictures of the model's own size for each subject, which distances compare with."""


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

    @property
    def is_small_world(self) -> bool:
        """Whether it is the model that ships with the project."""
        return is_small_world(self.model)

    @property
    def guidance(self) -> float:
        """5 for Small World, else InstantAS's (section 4)."""
        return 5.0 if self.is_small_world else 7.5

    @property
    def side(self) -> int:
        """Of the pictures that the model knows, image pixels."""
        return native_of(self.pipeline) * LATENT_SCALE

    def size(self, shape: Shape) -> Size:
        """Height and width in image pixels."""
        return shape[0] * self.side, shape[1] * self.side

    def refusal(self, variant: Variant, shape: Shape) -> str:
        """Why this model cannot make such a picture; empty if it can."""
        if variant.peer:
            return f"{variant.peer} is for SD 1.x and 2.x" if hasattr(self.pipeline, "text_encoder_2") else ""
        try:
            order = Order(variant, self.size(shape), "", 0, 1)
            Generator(self.pipeline).check(job_of(order, native_of(self.pipeline), self.guidance))
        except SettingsError as reason:
            return str(reason)
        return ""

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
        paint = panorama if order.variant.peer else painted
        clock = time.perf_counter if self.device == "cuda" else time.process_time
        started = clock()
        with autocast(torch.device(self.device).type):
            picture = paint(self.pipeline, order, self.guidance)
        return picture, clock() - started


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
    """An easel, the subjects to make pictures of in how many steps, and the sets made so far."""

    easel: Easel
    subjects: Subjects
    steps: int
    made: dict[tuple[Variant, Shape], PictureSet] = field(default_factory=dict)
    _own: list[PictureSet] = field(default_factory=list)

    def own(self) -> tuple[Image.Image, ...]:
        """The model's own pictures of the size that it knows, OWN_PICTURES for each subject, subject by subject."""
        if not self._own:
            repeated = [prompt for prompt in self.subjects.prompts for _ in range(OWN_PICTURES)]
            self._own.append(self._make(DIRECT, OWN, repeated, first_seed=10**4))
            progress(f"{len(repeated)} pictures of the model's own size: {self._own[0].seconds:.1f} s a picture")
        return self._own[0].pictures

    def pictures(self, variant: Variant, shape: Shape) -> PictureSet:
        """The set of a variant in a shape."""
        key = (variant, shape)
        if key not in self.made:
            self.made[key] = self._make(variant, shape, self.subjects.prompts)
            height, width = self.easel.size(shape)
            progress(f"{variant.described()} {width}x{height}: {self.made[key].seconds:.1f} s a picture")
        return self.made[key]

    def _make(self, variant: Variant, shape: Shape, prompts: Sequence[str], first_seed: int = 0) -> PictureSet:
        size = self.easel.size(shape)
        orders = [Order(variant, size, prompt, seed, self.steps) for seed, prompt in enumerate(prompts, first_seed)]
        pictures, seconds = zip(*self.easel.paint(orders), strict=True)
        return PictureSet(pictures, median(seconds))
