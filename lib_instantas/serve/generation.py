"""One picture for the page: previews and progress while it is made, and a way to stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Queue
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lib_instantas.hosts.standalone import Generator, Job, Result

if TYPE_CHECKING:
    from PIL.Image import Image

PREVIEW_SIDE = 96
"""Latent pixels of a preview's longer side: what a VAE decodes in a moment."""

PREVIEW_EVERY = 0.4
"""Seconds between previews."""


class Stopped(Exception):  # noqa: N818 (not an error: what the user asked for)
    """The user has stopped the generation."""


@dataclass(frozen=True)
class Progress:
    """Evaluations of the model done of all, seconds since the start, and a preview if there is a new one."""

    step: int
    steps: int
    seconds: float
    preview: Image | None


class StoppableGenerator:
    """Makes one picture at a time with one model."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the generation under way before its next UNet call."""
        self._stop.set()

    def make(self, job: Job) -> Iterator[Progress | Result]:
        """Progress after each step, then the result. Raises Stopped, or what the engine raises."""
        with self._lock:
            self._stop.clear()
            events: Queue[Progress | Result | Exception] = Queue()
            worker = threading.Thread(target=self._work, args=(job, events), daemon=True)
            worker.start()
            try:
                yield from _until_done(events)
            finally:
                self._stop.set()
                worker.join()

    def _work(self, job: Job, events: Queue[Progress | Result | Exception]) -> None:
        begin = time.monotonic()
        last_preview = begin
        evaluations = self.generator.evaluations(job)

        def on_step(step: int, latents: Tensor) -> None:
            nonlocal last_preview
            now = time.monotonic()
            due = step < evaluations and now - last_preview >= PREVIEW_EVERY
            picture = preview(self.generator.pipeline, latents) if due else None
            last_preview = time.monotonic() if due else last_preview
            events.put(Progress(step, evaluations, now - begin, picture))

        try:
            events.put(self.generator(job, on_step=on_step, before_batch=self._before_batch))
        except Exception as error:  # handed over to the thread that shows it
            events.put(error)

    def _before_batch(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _until_done(events: Queue[Progress | Result | Exception]) -> Iterator[Progress | Result]:
    while True:
        event = events.get()
        if isinstance(event, Exception):
            raise event
        yield event
        if isinstance(event, Result):
            return


@torch.no_grad()
def preview(pipeline: object, latents: Tensor) -> Image:
    """The canvas as it is now, decoded from latents brought down to a size that takes no time."""
    from PIL import Image

    vae = pipeline.vae  # type: ignore[attr-defined]
    shrink = max(1.0, max(latents.shape[-2:]) / PREVIEW_SIDE)
    size = [max(8, round(side / shrink)) for side in latents.shape[-2:]]
    small = torch.nn.functional.interpolate(latents[:1].float(), size, mode="area")
    decoded = vae.decode(small.to(vae.dtype) / vae.config.scaling_factor).sample[0]
    pixels = (decoded.float().clamp(-1, 1) * 127.5 + 127.5).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
