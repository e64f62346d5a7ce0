"""Upscaling in img2img, in one WebUI: InstantAS beside what people use for it, from the same pictures and prompts.

    python -m benchmarks.upscale --webui DIR [--pictures 4] [--side 1024 2048] [--minutes 8] [--quick] [--json]

Small World's pictures of 256x256 become 1024 and 2048 a side (`--quick`: one picture, 1024), each tool with its own
defaults, tiles of the model's size and Lanczos. By size and tool, over the pictures:

- `calls`: rows that went through the UNet, of which a tile has two for each step, with its prompt and without;
- `computed`: latent pixels of these rows over those of InstantAS, since tools look at tiles of different sizes;
- `seconds_ratio`: the time of the request over that of InstantAS, the median. On Linux it is what the host's process
  computed, which other programs beside it disturb little;
- `seam`: the step across the borders where the tool's tiles met last, over steps of the same phase beside them;
- `psnr_down`: how near the result, shrunk again, is to the given picture, in dB;
- `psnr_to_ours`: that less InstantAS's of the same picture.

`..._interval` is half of a 95 % interval: of the mean, and of the seam by pictures drawn anew. Pictures are kept in
`--keep` and not made again, so that a run that was stopped (`--minutes` does it by itself) goes on where it was. After
a change of the code, empty that folder.

Neighbours are looked for in `--neighbours`: checkouts of ultimate-upscale-for-automatic1111 and
multidiffusion-upscaler-for-automatic1111. What is not there is left out. "Lanczos" is the enlarged picture itself, as a
measure for the others: it has no tiles, and adds nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from PIL import Image

from benchmarks.live_host import neighbour
from benchmarks.measures import bootstrap, interval
from benchmarks.report import arguments, progress, result
from benchmarks.upscale.easel import CALLS, COMPUTED, SECONDS, Easel, Order, given_to
from benchmarks.upscale.tools import ENLARGED, NEIGHBOURS, OURS, WAYS, borders
from lib_instantas.tiling import LATENT_SCALE
from small_world import NATIVE


@dataclass
class Figures:
    """What was measured of one tool at one size, a value for each picture; `computed` in latent pixels."""

    calls: list[int] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    psnr_down: list[float] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)

    def add(self, made: Image.Image, given: Image.Image) -> None:
        """One more picture, which brings its own figures along."""
        self.calls.append(int(made.info.get(CALLS, 0)))
        self.computed.append(int(made.info.get(COMPUTED, 0)))
        self.seconds.append(float(made.info.get(SECONDS, math.nan)))
        self.psnr_down.append(psnr(made.resize(given.size, Image.Resampling.BOX), given))
        self.pictures.append(np.asarray(made))


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("--webui", type=Path, default=Path("~/stable-diffusion-webui").expanduser())
    parser.add_argument("--neighbours", type=Path, default=Path("~/neighbours").expanduser())
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--side", type=int, nargs="+", default=[1024, 2048], help="of the results (1024 2048)")
    parser.add_argument("--only", nargs="+", metavar="TOOL", help="tools by name; what is not there is left out")
    parser.add_argument("--quick", action="store_true", help="one picture, to 1024x1024 only")
    parser.add_argument("--keep", type=Path, default=Path("out/upscale"), help="folder of what was made")
    parser.add_argument("--minutes", type=float, default=math.inf, help="make nothing more after so long")
    parser.add_argument("--sheet", type=Path, help="where to put a part of the first picture by each tool")
    options = parser.parse_args()
    sides = (1024,) if options.quick else tuple(options.side)
    count = 1 if options.quick else options.pictures
    beside = _neighbours([options.neighbours, options.webui / "extensions"])
    tools = [tool for tool in (*WAYS, "SD upscale", *beside) if tool in (options.only or [tool])]
    easel = Easel(options.webui, beside, options.keep, time.monotonic() + 60 * options.minutes)
    measured = upscaled(easel, tools, sides, count)
    if options.sheet:
        sheet({tool: rows.pictures[0] for tool, rows in measured[sides[0]].items()}, options.sheet)
    result(dict(figures(measured)), options.json)


def _neighbours(folders: Sequence[Path]) -> dict[str, Path]:
    """The checkouts that are there, by tool."""
    places = {tool: neighbour(name, folders) for tool, name in NEIGHBOURS.items()}
    for tool, place in places.items():
        if place is None:
            progress(f"{tool} is left out: it is in none of {', '.join(map(str, folders))}")
    return {tool: place for tool, place in places.items() if place is not None}


def upscaled(easel: Easel, tools: Sequence[str], sides: Sequence[int], count: int) -> dict[int, dict[str, Figures]]:
    """Pictures of Small World by each tool at each size, as far as they are there."""
    orders = [Order(number, tool, side) for side in sides for number in range(count) for tool in tools]
    easel.make([*dict.fromkeys(map(given_to, orders)), *orders])
    measured: dict[int, dict[str, Figures]] = {side: {} for side in sides}
    for side in sides:
        for number in range(count):
            own = [order for order in orders if (order.side, order.number) == (side, number)]
            if not all(order.file(easel.keep).exists() for order in own):
                continue  # Tools are compared by the same pictures.
            given = given_to(own[0]).opened(easel.keep)
            for order in own:
                measured[side].setdefault(order.tool, Figures()).add(order.opened(easel.keep), given)
            enlarged = given.resize((side, side), Image.Resampling.LANCZOS)
            measured[side].setdefault(ENLARGED, Figures()).add(enlarged, given)
    return measured


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Of two pictures of one size, in dB."""
    error = np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)
    return float(10 * np.log10(255**2 / error))


def seam(pictures: Sequence[np.ndarray], rows: Sequence[int], columns: Sequence[int]) -> float:
    """The mean step of pictures [H, W, 3] across these rows and columns over that across others beside them.

    The given picture has small steps between its latent pixels, which lie 8 pixels times the scale apart when it is
    enlarged: so a line is compared with those that lie whole such steps beside it, three to either side.
    """
    at, beside = [], []
    for whole in pictures:
        picture, every = whole.astype(np.float32), LATENT_SCALE * len(whole) // NATIVE
        for pixels, lines in ((picture.swapaxes(0, 1), rows), (picture, columns)):
            profile = np.abs(np.diff(pixels, axis=1)).mean((0, 2))
            for line in lines:
                near = {line + every * shift for shift in (-3, -2, -1, 1, 2, 3)} - set(lines)
                at.append(profile[line - 1])
                beside += [profile[place - 1] for place in near if 0 < place <= len(profile)]
    return float(np.mean(at) / np.mean(beside))


def figures(measured: Mapping[int, Mapping[str, Figures]]) -> Iterator[tuple[str, float]]:
    """All figures by "SIZE TOOL key"."""
    for side, tools in measured.items():
        ours = tools.get(OURS)
        for tool, rows in tools.items():
            for key, value in _of_tool(tool, rows, side, ours):
                yield f"{side} {tool} {key}", round(value, 4)


def _of_tool(tool: str, rows: Figures, side: int, ours: Figures | None) -> Iterator[tuple[str, float]]:
    yield "pictures", len(rows.pictures)
    yield "calls", mean(rows.calls)
    if tool != ENLARGED and ours is not None:
        yield "computed", sum(rows.computed) / sum(ours.computed)
        yield "seconds_ratio", median(a / b for a, b in zip(rows.seconds, ours.seconds, strict=True))
    lines = borders(tool, side)
    yield "seam", seam(rows.pictures, *lines)
    yield "seam_interval", bootstrap(lambda drawn: seam([rows.pictures[i] for i in drawn], *lines), len(rows.pictures))
    yield from _with_interval("psnr_down", rows.psnr_down)
    if ours is not None:
        apart = [a - b for a, b in zip(rows.psnr_down, ours.psnr_down, strict=True)]
        yield from _with_interval("psnr_to_ours", apart)


def _with_interval(key: str, values: Sequence[float]) -> Iterator[tuple[str, float]]:
    middle, half = interval(torch.tensor(values))
    yield key, middle
    yield f"{key}_interval", half


def sheet(pictures: dict[str, np.ndarray], file: Path, part: int = 420) -> None:
    """A part around the crossing of tiles of each picture, side by side."""
    from PIL import ImageDraw

    strip = Image.new("RGB", (part * len(pictures), part + 20), "white")
    for place, (tool, pixels) in enumerate(pictures.items()):
        corner = (pixels.shape[0] - part) // 2
        crop = pixels[corner : corner + part, corner : corner + part].astype(np.uint8)
        strip.paste(Image.fromarray(crop), (place * part, 20))
        ImageDraw.Draw(strip).text((place * part + 4, 4), tool, fill="black")
    strip.save(file, quality=88)


if __name__ == "__main__":
    main()
