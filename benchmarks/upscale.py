"""Upscaling in img2img, in one WebUI: InstantAS beside what people use for it, from the same pictures and prompts.

    python -m benchmarks.upscale --webui DIR [--pictures 4] [--quick] [--sheet FILE.jpg] [--json]

Small World's pictures of 256x256 become 1024 and 2048 a side (`--quick`: one picture, 1024), each tool with its own
defaults, tiles of the model's size and Lanczos. By size and tool:

- `calls`: rows that went through the UNet, of which a tile has two for each step, with its prompt and without;
- `seconds_ratio`: the time of the request over that of InstantAS, the tools taking turns (on a busy machine: a hint);
- `seam`: the step across the borders where the tool's tiles met last, over steps of the same phase beside them;
- `psnr_down`: how near the result, shrunk again, is to the given picture, in dB.

Neighbours are looked for in `--neighbours`: checkouts of ultimate-upscale-for-automatic1111 and
multidiffusion-upscaler-for-automatic1111. What is not there is left out. "Lanczos" is the enlarged picture itself, as a
measure for the others: it has no tiles, and adds nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.live_host import TILED_DIFFUSION, host_beside, neighbour
from benchmarks.quality import scenes
from benchmarks.report import arguments, progress, result
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import LATENT_SCALE
from small_world import NATIVE
from small_world.scene import describe

STEPS, STRENGTH = 20, 0.3
OVERLAPS = {"SD upscale": 64, "Tiled Diffusion": 128}
"""In image pixels: the host script's own default; half a tile, as Tiled Diffusion has it by default."""

NEIGHBOURS = {
    "Ultimate SD Upscale": "ultimate-upscale-for-automatic1111",
    "Tiled Diffusion": TILED_DIFFUSION,
}
OURS, INVERTED, ENLARGED = "InstantAS", "InstantAS, noise inversion", "Lanczos"
INVERSION = 10
"""Evaluations that look for the noise."""


@dataclass
class Figures:
    """What was measured of one tool at one size, a value for each picture."""

    calls: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    psnr_down: list[float] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("--webui", type=Path, default=Path("~/stable-diffusion-webui").expanduser())
    parser.add_argument("--neighbours", type=Path, default=Path("~/neighbours").expanduser())
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--side", type=int, nargs="+", default=[1024, 2048], help="of the results (1024 2048)")
    parser.add_argument("--quick", action="store_true", help="one picture, to 1024x1024 only")
    parser.add_argument("--sheet", type=Path, help="where to put a part of the first picture by each tool")
    options = parser.parse_args()
    sides = (1024,) if options.quick else tuple(options.side)
    measured = upscaled(options.webui, options.neighbours, sides, 1 if options.quick else options.pictures)
    if options.sheet:
        sheet({tool: rows.pictures[0] for tool, rows in measured[sides[0]].items()}, options.sheet)
    result(dict(figures(measured)), options.json)


def upscaled(webui: Path, neighbours: Path, sides: Sequence[int], count: int) -> dict[int, dict[str, Figures]]:
    """Pictures of Small World by each tool at each size."""
    places = {tool: neighbour(name, [neighbours, webui / "extensions"]) for tool, name in NEIGHBOURS.items()}
    found = {tool: place for tool, place in places.items() if place is not None}
    for tool in NEIGHBOURS.keys() - found.keys():
        progress(f"{tool} is left out: it is not in {neighbours}")
    measured: dict[int, dict[str, Figures]] = {side: {} for side in sides}
    with host_beside(webui, {place.name: place for place in found.values()}) as host:
        for number, scene in enumerate(scenes(count, bare=True)):
            prompt = describe(scene)
            given = host.client.txt2img(
                prompt=prompt, negative_prompt="", seed=number, cfg_scale=3, steps=20, sampler_name="Euler",
                width=NATIVE, height=NATIVE,
            ).images[0].convert("RGB")  # fmt: skip
            for side in sides:
                for tool in (OURS, INVERTED, "SD upscale", *found, ENLARGED):
                    _measure(host.client, tool, given, side, prompt, measured[side].setdefault(tool, Figures()))
                    progress(f"{number + 1} of {count}, {side}: {tool}")
    return measured


def _measure(client: Any, tool: str, given: Image.Image, side: int, prompt: str, rows: Figures) -> None:
    if tool == ENLARGED:
        calls, seconds, made = 0, math.nan, given.resize((side, side), Image.Resampling.LANCZOS)
    else:
        client.post("/test/begin")
        begun = time.perf_counter()
        made = client.img2img(given, **request(client, tool, side // NATIVE, prompt)).images[0].convert("RGB")
        seconds = time.perf_counter() - begun
        calls = sum(size[0] for size in client.get("/test/seen"))
    if made.size != (side, side):
        raise RuntimeError(f"{tool} made {made.size[0]}x{made.size[1]} instead of {side}x{side}")
    rows.calls.append(calls)
    rows.seconds.append(seconds)
    rows.psnr_down.append(psnr(made.resize(given.size, Image.Resampling.BOX), given))
    rows.pictures.append(np.asarray(made, dtype=np.float32))


def request(client: Any, tool: str, scale: int, prompt: str) -> dict[str, Any]:
    """What the API is asked for: img2img at the model's size, and the tool's own arguments."""
    fields: dict[str, Any] = {
        "prompt": prompt, "negative_prompt": "", "seed": 1, "cfg_scale": 3, "steps": STEPS, "sampler_name": "Euler",
        "denoising_strength": STRENGTH, "width": NATIVE, "height": NATIVE,
    }  # fmt: skip
    lanczos = [one["name"] for one in client.get("/sdapi/v1/upscalers")].index(ENLARGED)
    if tool in (OURS, INVERTED):
        inversion = INVERSION if tool == INVERTED else 0
        settings = {"enabled": True, "preset": "Upscale", "upscale_by": scale, "noise_inversion": inversion}
        return fields | {"settings": settings}
    if tool == "SD upscale":
        return fields | {"script_name": tool, "script_args": ["", OVERLAPS[tool], lanczos, scale]}
    if tool == "Ultimate SD Upscale":
        args = ["", NATIVE, 0, 8, 32, 64, 0.35, 16, lanczos, False, 0, False, 4, 0, 2, 2048, 2048, scale]
        return fields | {"script_name": tool, "script_args": args}
    tile, overlap = NATIVE // LATENT_SCALE, OVERLAPS[tool] // LATENT_SCALE
    args = [True, "MultiDiffusion", False, True, 1024, 1024, tile, tile, overlap, 4, ENLARGED, scale, False]
    return fields | {"alwayson_scripts": {tool: {"args": args}}}


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Of two pictures of one size, in dB."""
    error = np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)
    return float(10 * np.log10(255**2 / error))


def borders(tool: str, side: int) -> tuple[list[int], list[int]]:
    """Where the tiles of a tool met in its last step: rows and columns, in image pixels."""
    if tool in (OURS, INVERTED):
        steps = int(STEPS * STRENGTH) + 1  # as the host reckons
        canvas = side // LATENT_SCALE, side // LATENT_SCALE
        settings = parse_settings({"enabled": True})
        plan = make_method(Request(canvas, NATIVE // LATENT_SCALE, settings, 1, steps)).plan(steps - 1)
        rows = {(tile.y.keep.start + plan.shift[0]) % canvas[0] * LATENT_SCALE for tile in plan.tiles}
        columns = {(tile.x.keep.start + plan.shift[1]) % canvas[1] * LATENT_SCALE for tile in plan.tiles}
        return sorted(rows - {0}), sorted(columns - {0})
    if tool in OVERLAPS:
        free = NATIVE - OVERLAPS[tool]
        count = math.ceil((side - OVERLAPS[tool]) / free)
        starts = [round(i * (side - NATIVE) / (count - 1)) for i in range(count)]
        lines = sorted({start for start in starts if start} | {start + NATIVE for start in starts[:-1]})
        return lines, lines
    lines = list(range(NATIVE, side, NATIVE))
    return lines, lines


def seam(pictures: Sequence[np.ndarray], rows: Sequence[int], columns: Sequence[int]) -> float:
    """The mean step of pictures [H, W, 3] across these rows and columns over that across others beside them.

    The given picture has small steps between its latent pixels, which lie 8 pixels times the scale apart when it is
    enlarged: so a line is compared with those that lie whole such steps beside it, three to either side.
    """
    at, beside = [], []
    for picture in pictures:
        every = LATENT_SCALE * len(picture) // NATIVE
        for pixels, lines in ((picture.swapaxes(0, 1), rows), (picture, columns)):
            profile = np.abs(np.diff(pixels, axis=1)).mean((0, 2))
            for line in lines:
                near = {line + every * shift for shift in (-3, -2, -1, 1, 2, 3)} - set(lines)
                at.append(profile[line - 1])
                beside += [profile[place - 1] for place in near if 0 < place <= len(profile)]
    return float(np.mean(at) / np.mean(beside))


def figures(measured: dict[int, dict[str, Figures]]) -> Iterator[tuple[str, float]]:
    """All figures by "SIZE TOOL key"."""
    for side, tools in measured.items():
        ours = median(tools[OURS].seconds)
        for tool, rows in tools.items():
            yield f"{side} {tool} calls", mean(rows.calls)
            if tool != ENLARGED:
                yield f"{side} {tool} seconds_ratio", round(median(rows.seconds) / ours, 3)
            yield f"{side} {tool} seam", round(seam(rows.pictures, *borders(tool, side)), 4)
            yield f"{side} {tool} psnr_down", round(mean(rows.psnr_down), 3)


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
