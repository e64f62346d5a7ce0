"""Whole pictures in a real WebUI, with InstantAS, with Tiled Diffusion beside it, and with neither.

    python -m benchmarks.peers [--webui DIR] [--rounds 5] [--json]

Small World paints 1024x256 with DDIM in 20 steps. In every round each way makes the picture of the same prompt and seed
once, one after the other, after a round that is not counted. For each way:

- `seconds`: the median time of a picture, decoding and all else that a request does included. On Linux it is what the
  host's process computed, which other programs beside it disturb little; `wall` is what the clock on the wall says;
- `to_direct`: the median over rounds of its time over that of `direct`, the picture without any extension; `low` and
  `high` are the ends of that median's 95 % interval, rounds drawn anew;
- `calls` and `rows`: how often the UNet is asked for a picture, and how many rows of a batch it is given in all.

Tiled Diffusion (multidiffusion-upscaler-for-automatic1111) is looked for in `--neighbours` and among the WebUI's own
extensions. Where it is missing, its ways are left out and `left_out` says so.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.live_host import TILED_DIFFUSION, host_beside, neighbour
from benchmarks.quality import scenes
from benchmarks.report import arguments, progress, result
from lib_instantas.presets import PRESETS
from lib_instantas.tiling import LATENT_SCALE
from small_world import NATIVE
from small_world.scene import describe

WIDTH, HEIGHT = 1024, 256
STEPS = 20

OURS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "defaults, 1 at once": {"tile_batch": 1},
    "defaults, 4 at once": {"tile_batch": 4},
    "ring, 4 at once": {"edges": "ring", "tile_batch": 4},
    "paper, 1 at once": {**PRESETS["As in the paper"].values, "tile_batch": 1},
    "paper, 4 at once": {**PRESETS["As in the paper"].values, "tile_batch": 4},
}
"""InstantAS by name: its settings, and how many tiles go through the UNet at once."""

OVERLAPS = {"Tiled Diffusion, 50 %": 0.5, "Tiled Diffusion, 75 %": 0.75, "Tiled Diffusion, 87.5 %": 0.875}
"""Its MultiDiffusion by name: the share of a tile that the next one covers again."""

TILED_DIFFUSION_AT_ONCE = 8
"""The most that its page allows."""

Lap = tuple[float, float]
"""(seconds of the host's computing, seconds on the wall) of one picture."""


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("--webui", type=Path, default=Path("~/stable-diffusion-webui").expanduser())
    parser.add_argument("--neighbours", type=Path, default=Path("~/neighbours").expanduser())
    parser.add_argument("--rounds", type=int, default=5, help="pictures of each way (default 5)")
    options = parser.parse_args()
    tiled_diffusion = neighbour(TILED_DIFFUSION, [options.neighbours, options.webui / "extensions"])
    left_out = []
    if tiled_diffusion is None:
        left_out.append(f"Tiled Diffusion: no {TILED_DIFFUSION} in {options.neighbours} or {options.webui}/extensions")
        progress(f"left out: {left_out[0]}")
    try:
        figures = measure(options.webui, tiled_diffusion, options.rounds)
    except FileNotFoundError as reason:
        sys.exit(f"{reason}: say with --webui where an installed one is")
    result(figures | {"left_out": left_out}, options.json)


def ways(with_tiled_diffusion: bool) -> dict[str, dict[str, Any]]:
    """What each way has for `alwayson_scripts` of a request, by name; `direct` comes first."""
    chosen: dict[str, dict[str, Any]] = {"direct": {}}
    for name, settings in OURS.items():
        chosen[name] = {"InstantAS": {"args": [{"enabled": True, **settings}]}}
    if with_tiled_diffusion:
        tile = NATIVE // LATENT_SCALE
        for name, overlap in OVERLAPS.items():
            sides = [tile, tile, round(overlap * tile), TILED_DIFFUSION_AT_ONCE]
            chosen[name] = {"Tiled Diffusion": {"args": [True, "MultiDiffusion", False, True, WIDTH, HEIGHT, *sides]}}
    return chosen


def measure(webui: Path, tiled_diffusion: Path | None, rounds: int) -> dict[str, Any]:
    """The figures of every way. Raises FileNotFoundError where there is no WebUI."""
    beside = {} if tiled_diffusion is None else {TILED_DIFFUSION: tiled_diffusion}
    chosen = ways(bool(beside))
    laps: dict[str, list[Lap]] = {name: [] for name in chosen}
    counts: dict[str, dict[str, int]] = {}
    with host_beside(webui, beside) as host:
        computing = clock_of(host.process.pid)
        for name, scripts in chosen.items():
            host.client.post("/test/begin")
            paint(host.client, 0, scripts)
            seen = host.client.get("/test/seen")
            counts[name] = {"calls": len(seen), "rows": sum(size[0] for size in seen)}
        for number in range(rounds):
            for name, scripts in chosen.items():
                begun = computing(), time.perf_counter()
                paint(host.client, number, scripts)
                laps[name].append((computing() - begun[0], time.perf_counter() - begun[1]))
                progress(f"{number + 1} of {rounds}, {name}: {laps[name][-1][0]:.2f} s, wall {laps[name][-1][1]:.2f} s")
    return {name: figures_of(laps[name], laps["direct"]) | counts[name] for name in chosen}


def paint(client: Any, number: int, scripts: dict[str, Any]) -> None:
    """Ask for one picture."""
    client.txt2img(
        None, prompt=describe(scenes(number + 1, bare=True)[number]), negative_prompt="", seed=number, cfg_scale=5,
        sampler_name="DDIM", steps=STEPS, width=WIDTH, height=HEIGHT, alwayson_scripts=scripts,
    )  # fmt: skip


def clock_of(process: int) -> Callable[[], float]:
    """A clock of the seconds that a process has computed; the clock on the wall where the system does not tell."""
    file = Path(f"/proc/{process}/stat")
    if not file.exists():
        return time.perf_counter
    tick = os.sysconf("SC_CLK_TCK")

    def computed() -> float:
        # After the name, in brackets, which may hold anything: fields 14 and 15 of proc(5).
        after = file.read_text("utf-8").rpartition(")")[2].split()
        return (int(after[11]) + int(after[12])) / tick

    return computed


def figures_of(laps: Sequence[Lap], direct: Sequence[Lap]) -> dict[str, float]:
    """Of one way's rounds, beside those of the plain picture."""
    ratios = np.array([one[0] / other[0] for one, other in zip(laps, direct, strict=True)])
    low, high = interval_of_median(ratios)
    return {
        "seconds": median(lap[0] for lap in laps),
        "wall": median(lap[1] for lap in laps),
        "to_direct": float(np.median(ratios)),
        "low": low,
        "high": high,
    }


def interval_of_median(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """The ends of a median's 95 % interval, the values drawn anew with replacement."""
    chosen = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.percentile(np.median(values[chosen], axis=1), [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
