"""The pictures: made in the WebUI by a tool, and kept with what they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from benchmarks.live_host import host_beside
from benchmarks.peers import clock_of
from benchmarks.quality import scenes
from benchmarks.report import progress
from benchmarks.upscale.tools import request
from small_world import NATIVE
from small_world.scene import describe

GIVEN = "given"
"""The tool that makes what the others enlarge."""

CALLS, COMPUTED, SECONDS = "calls", "computed", "seconds"
"""What a kept picture's file says of how it was made."""


@dataclass(frozen=True)
class Order:
    """The picture of a number by a tool, with so many pixels a side; GIVEN is what the tools are given."""

    number: int
    tool: str
    side: int

    def file(self, folder: Path) -> Path:
        """Where it is kept."""
        return folder / str(self.side) / self.tool / f"{self.number}.png"

    def opened(self, folder: Path) -> Image.Image:
        """What was kept."""
        with Image.open(self.file(folder)) as image:
            image.load()
        return image

    @property
    def prompt(self) -> str:
        """What it is asked for."""
        return describe(scenes(self.number + 1, bare=True)[self.number])

    def made(self, client: Any, folder: Path) -> Image.Image:
        """Asked for now. Raises RuntimeError for a picture of another size."""
        if self.tool == GIVEN:
            fields = {"cfg_scale": 3, "steps": 20, "sampler_name": "Euler", "width": self.side, "height": self.side}
            made = client.txt2img(prompt=self.prompt, negative_prompt="", seed=self.number, **fields)
        else:
            given = given_to(self).opened(folder)
            made = client.img2img(given, **request(client, self.tool, self.side // NATIVE, self.prompt))
        image: Image.Image = made.images[0].convert("RGB")
        if image.size != (self.side, self.side):
            raise RuntimeError(f"{self.tool} made {image.size[0]}x{image.size[1]} instead of {self.side}x{self.side}")
        return image


def given_to(order: Order) -> Order:
    """The picture that is enlarged."""
    return Order(order.number, GIVEN, NATIVE)


@dataclass
class Easel:
    """Pictures by each tool: taken from the folder `keep`, or made in the WebUI, which starts when it is needed.

    Nothing is made after `until` on the monotonic clock.
    """

    webui: Path
    beside: Mapping[str, Path]
    keep: Path
    until: float

    def make(self, orders: Sequence[Order]) -> None:
        """Make what is not there yet, in this order."""
        missing = [order for order in orders if not order.file(self.keep).exists()]
        if not missing:
            return
        with host_beside(self.webui, {place.name: place for place in self.beside.values()}) as host:
            computing = clock_of(host.process.pid)
            host.client.txt2img(prompt="", steps=1, width=64, height=64)
            for number, order in enumerate(missing):
                if time.monotonic() > self.until:
                    progress(f"stopped: {len(missing) - number} pictures are still to be made")
                    return
                self._make(host.client, order, computing)
                progress(f"{number + 1} of {len(missing)}: {order.side}, {order.tool}, picture {order.number}")

    def _make(self, client: Any, order: Order, computing: Callable[[], float]) -> None:
        begun = computing()
        client.post("/test/begin")
        made = order.made(client, self.keep)
        sizes = client.get("/test/seen")
        told = PngInfo()
        told.add_text(CALLS, str(sum(size[0] for size in sizes)))
        told.add_text(COMPUTED, str(sum(size[0] * size[-2] * size[-1] for size in sizes)))
        told.add_text(SECONDS, str(computing() - begun))
        file = order.file(self.keep)
        file.parent.mkdir(parents=True, exist_ok=True)
        made.save(file, pnginfo=told)
