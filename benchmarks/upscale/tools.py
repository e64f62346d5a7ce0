"""The tools that are compared: what each is asked for, and where its tiles meet."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.live_host import TILED_DIFFUSION
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import LATENT_SCALE
from small_world import NATIVE

STEPS, STRENGTH = 20, 0.3
OVERLAPS = {"SD upscale": 64, "Tiled Diffusion": 128}
"""In image pixels: the host script's own default; half a tile, as Tiled Diffusion has it by default."""

NEIGHBOURS = {
    "Ultimate SD Upscale": "ultimate-upscale-for-automatic1111",
    "Tiled Diffusion": TILED_DIFFUSION,
}
OURS, ENLARGED = "InstantAS", "Lanczos"
WAYS: dict[str, dict[str, Any]] = {
    OURS: {},
    "InstantAS, fidelity 0": {"fidelity": 0},
    "InstantAS, noise inversion, fidelity 0": {"noise_inversion": 10, "fidelity": 0},
}
"""InstantAS by name: its settings beside the preset's."""


def request(client: Any, tool: str, scale: int, prompt: str) -> dict[str, Any]:
    """What the API is asked for: img2img at the model's size, and the tool's own arguments."""
    fields: dict[str, Any] = {
        "prompt": prompt, "negative_prompt": "", "seed": 1, "cfg_scale": 3, "steps": STEPS, "sampler_name": "Euler",
        "denoising_strength": STRENGTH, "width": NATIVE, "height": NATIVE,
    }  # fmt: skip
    lanczos = [one["name"] for one in client.get("/sdapi/v1/upscalers")].index(ENLARGED)
    if tool in WAYS:
        return fields | {"settings": {"enabled": True, "preset": "Upscale", "upscale_by": scale, **WAYS[tool]}}
    if tool == "SD upscale":
        return fields | {"script_name": tool, "script_args": ["", OVERLAPS[tool], lanczos, scale]}
    if tool == "Ultimate SD Upscale":
        args = ["", NATIVE, 0, 8, 32, 64, 0.35, 16, lanczos, False, 0, False, 4, 0, 2, 2048, 2048, scale]
        return fields | {"script_name": tool, "script_args": args}
    tile, overlap = NATIVE // LATENT_SCALE, OVERLAPS[tool] // LATENT_SCALE
    args = [True, "MultiDiffusion", False, True, 1024, 1024, tile, tile, overlap, 4, ENLARGED, scale, False]
    return fields | {"alwayson_scripts": {tool: {"args": args}}}


def borders(tool: str, side: int) -> tuple[list[int], list[int]]:
    """Where the tiles of a tool met in its last step: rows and columns, in image pixels."""
    if tool in WAYS:
        steps = int(STEPS * STRENGTH) + 1  # as the host reckons
        canvas = side // LATENT_SCALE, side // LATENT_SCALE
        settings = parse_settings({"enabled": True, **WAYS[tool]})
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
