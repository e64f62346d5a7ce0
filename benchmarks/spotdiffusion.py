"""InstantAS beside reForge's own SpotDiffusion, in that host: the same model, prompts, seeds and sampler.

    python -m benchmarks.spotdiffusion --webui DIR [--pictures 8] [--sheet FILE.png] [--json]

Both move non-overlapping tiles; SpotDiffusion rolls its grid over the picture's borders at random places. `seam` is
measured where the grids rest, `largest` is each picture's strongest step across a multiple of 8 over its mean step,
wherever that is (a picture's own edges are in it, for both alike). `_ci` is half of a 95 % interval. `seconds` is the
whole request, the two taking turns. The host is started by the live tests' own code, with an extension that gives
SpotDiffusion what reForge no longer does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.live_host import LIVE, host_beside
from benchmarks.measures import bootstrap, interval, seam, steps
from benchmarks.quality import scenes, sheet
from benchmarks.report import arguments, progress, result
from small_world import NATIVE
from small_world.scene import describe

STORE = LIVE / "spotdiffusion_extension"

WIDTH, HEIGHT = 1024, 256
LINES = range(NATIVE, WIDTH, NATIVE)
"""Where the grids of both rest, in image pixels."""

SCRIPTS: dict[str, dict[str, Any]] = {
    "InstantAS": {
        "InstantAS": {"args": [{"enabled": True, "fit": "fitted", "edges": "elastic", "tile_batch": 1}]},
    },
    "SpotDiffusion": {
        "MultiDiffusion Integrated": {"args": [True, "SpotDiffusion", NATIVE, NATIVE, 0, 1, "random"]},
    },
}
"""Tiles of about the same size for both, one at a time."""

Made = tuple[Tensor, float]
"""A picture [3, H, W] in 0..1, and the seconds that its request took."""


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("--webui", type=Path, required=True, help="folder of an installed reForge")
    parser.add_argument("--pictures", type=int, default=8, help="pictures of each")
    parser.add_argument("--sampler", default="Euler")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sheet", type=Path, help="where to put all pictures, side by side")
    options = parser.parse_args()
    made = pictures_of(options.webui, options.pictures, options.sampler, options.steps)
    figures = {f"{name} {key}": value for name, rows in made.items() for key, value in assess(rows).items()}
    figures["time ratio"] = figures["InstantAS seconds"] / figures["SpotDiffusion seconds"]
    if options.sheet:
        sheet([(name, torch.stack([picture for picture, _ in rows])) for name, rows in made.items()], options.sheet)
    result(figures, options.json)


def pictures_of(webui: Path, count: int, sampler: str, steps: int) -> dict[str, list[Made]]:
    """Pictures by each script, one after the other for each seed."""
    made: dict[str, list[Made]] = {name: [] for name in SCRIPTS}
    with host_beside(webui, {"store": STORE}) as host:
        host.client.txt2img(width=NATIVE, height=NATIVE, steps=1, override_settings={})
        for seed, scene in enumerate(scenes(count, bare=True)):
            for name, scripts in SCRIPTS.items():
                request = {"prompt": describe(scene), "negative_prompt": "", "seed": seed, "cfg_scale": 3}
                request |= {"sampler_name": sampler, "steps": steps, "width": WIDTH, "height": HEIGHT}
                made[name].append(one(host.client, request, scripts))
                progress(f"{seed + 1} of {count}: {name}, {made[name][-1][1]:.1f} s")
    return made


def one(client: Any, request: Mapping[str, Any], scripts: Mapping[str, Any]) -> Made:
    """One picture, and how long it took."""
    begun = time.perf_counter()
    made = client.txt2img(None, **request, alwayson_scripts=scripts)
    return torch.from_numpy(made.pixels.copy()).permute(2, 0, 1) / 255, time.perf_counter() - begun


def assess(rows: Sequence[Made]) -> dict[str, float]:
    """The figures of one script's pictures."""
    pictures = torch.stack([picture for picture, _ in rows])
    profile = steps(pictures)
    largest, largest_ci = interval(profile.max(1).values / profile.mean(1))
    return {
        "seam": seam(pictures, LINES).mean,
        "seam_ci": bootstrap(lambda chosen: seam(pictures[chosen], LINES).mean, len(rows)),
        "largest": largest,
        "largest_ci": largest_ci,
        "seconds": median(seconds for _, seconds in rows),
    }


if __name__ == "__main__":
    main()
