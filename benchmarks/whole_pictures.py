"""Whole pictures on a UNet and an autoencoder of SD 1.5's shape with random weights: 20 steps of DDIM, decoding too.

    python -m benchmarks.whole_pictures [--size 2048x512] [--only direct InstantAS] [--steps 20] [--json]

Every way makes a picture of its own, with guidance, in bfloat16, with all that a run brings: tiles that move, and those
with context in the last evaluations. The ways take turns step by step, so that whatever else the machine does falls on
all of them alike. Of the steps in a stretch of `--every` that ask about tiles of equal sizes, one is timed and counts
for the others too. For each size and way:

- `seconds`: of the picture, the clock on the wall; `computing`: of the processors, all threads together (CPU only);
- `faster`: how many times faster InstantAS's picture is made, with the 95 % interval `low` to `high` over pairs of
  steps (of stretches of `--every`), and `faster_computing` the same by what was computed, which other programs beside
  disturb less;
- `decoding`: the part of `seconds` that the autoencoder took.

1209x523 has InstantAS in the paper's own tiles (native, ring) beside its defaults.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import arguments, progress, result
from benchmarks.unet import conditioning_of, sd15_unet
from benchmarks.vae_models import real_autoencoder
from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import Request, make_method
from lib_instantas.presets import PRESETS
from lib_instantas.settings import parse_settings
from lib_instantas.sizes import canvas_for, parse_size
from lib_instantas.tiling import Size

OURS = "InstantAS"
WAYS: dict[str, dict[str, Any]] = {
    "direct": {"method": "direct"},
    OURS: {},
    "InstantAS as in the paper": PRESETS["As in the paper"].values,
    "MultiDiffusion, 50 %": {"method": "MultiDiffusion", "overlap": 0.5},
    "MultiDiffusion, 75 %": {"method": "MultiDiffusion", "overlap": 0.75},
    "MultiDiffusion, 87.5 %": {"method": "MultiDiffusion", "overlap": 0.875},
}
"""Settings by name; MultiDiffusion by the share of a tile that the next one covers again."""

GUIDANCE = 5.0


@dataclass(frozen=True)
class Lap:
    """What one step, or decoding, took: seconds on the wall, and of all threads' computing."""

    wall: float
    computing: float


class WholePicture:
    """A picture on its way: each `step` is one of DDIM with guidance, and `decode` is the end.

    `settings` are the engine's, `canvas` its (height, width) in latent pixels.
    """

    def __init__(self, unet: Any, vae: Any, settings: Mapping[str, Any], canvas: Size, steps: int) -> None:
        from diffusers import DDIMScheduler

        like = next(unet.parameters())
        chosen = parse_settings({"enabled": True, **settings})
        method = make_method(Request(canvas, int(unet.config.sample_size), chosen, steps=steps))
        self.unet, self.vae = unet, vae
        self.scheduler = cast(Any, DDIMScheduler())
        self.scheduler.set_timesteps(steps)
        self.times = self.scheduler.timesteps.to(like.device)
        self.denoiser = TiledDenoiser(_asked(unet), method, tile_batch=chosen.tile_batch)
        self.latents = torch.randn(1, 4, *canvas, generator=torch.Generator().manual_seed(1)).to(like)
        self.conditioning = conditioning_of(unet, rows=2)

    def sizes(self, number: int) -> tuple[Size, ...]:
        """Those of the tiles that a step asks about, wherever they lie."""
        return tuple(sorted(tile.size for tile in self.denoiser.method.plan(number).tiles))

    def step(self, number: int) -> None:
        """One step of the sampler, counted from 0."""
        guided = self.evaluate(number)
        now = self.scheduler.timesteps[number]
        self.latents = self.scheduler.step(guided, now, self.latents).prev_sample.to(self.latents)

    def evaluate(self, number: int) -> Tensor:
        """What is predicted in a step, counted from 0, with guidance; nothing goes on."""
        self.denoiser.evaluation = number
        rows = torch.cat([self.latents] * 2)
        without, prompted = self.denoiser(rows, self.times[number], **self.conditioning).chunk(2)
        guided: Tensor = without + GUIDANCE * (prompted - without)
        return guided

    def decode(self) -> Tensor:
        """The picture [1, 3, H, W]."""
        picture: Tensor = self.vae.decode(self.latents / self.vae.config.scaling_factor, return_dict=False)[0]
        return picture


def _asked(unet: Any) -> Callable[..., Tensor]:
    def model(x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        answer: Tensor = unet(x, sigma, return_dict=False, **conditioning)[0]
        return answer

    return model


@torch.inference_mode()
def make_in_turns(pictures: Mapping[str, WholePicture], steps: int, every: int = 1) -> dict[str, list[Lap]]:
    """The laps of each picture, made in turns: one for each stretch of `every` steps, and one for decoding."""
    laps: dict[str, list[Lap]] = {name: [] for name in pictures}
    for start in range(0, steps, every):
        stretch = range(start, min(start + every, steps))
        made: dict[str, dict[tuple[Size, ...], Lap]] = {name: {} for name in pictures}
        for number in stretch:
            for name, picture in pictures.items():
                if picture.sizes(number) not in made[name]:
                    timed = lap(partial(picture.step, number), picture.latents.device)
                    made[name][picture.sizes(number)] = timed
        for name, picture in pictures.items():
            laps[name].append(_total([made[name][picture.sizes(number)] for number in stretch]))
        progress(f"{stretch.stop} of {steps} steps: {_walls(laps)}")
    for name, picture in pictures.items():
        laps[name].append(lap(picture.decode, picture.latents.device))
    progress(f"decoded: {_walls(laps)}")
    return laps


def _total(laps: Sequence[Lap]) -> Lap:
    return Lap(sum(one.wall for one in laps), sum(one.computing for one in laps))


def _walls(laps: Mapping[str, Sequence[Lap]]) -> str:
    return "  ".join(f"{name} {values[-1].wall:.1f} s" for name, values in laps.items())


def lap(run: Callable[[], Any], device: torch.device) -> Lap:
    """One run, the device's queue emptied before and after."""
    begun = _now(device), time.process_time()
    run()
    return Lap(_now(device) - begun[0], time.process_time() - begun[1])


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def figures_of(laps: Mapping[str, Sequence[Lap]]) -> dict[str, dict[str, float]]:
    """Each way's figures, as the module describes them."""
    wall, computing = (
        {name: np.array([getattr(one, clock) for one in values]) for name, values in laps.items()}
        for clock in ("wall", "computing")
    )
    rows = {}
    for name in laps:
        low, high = interval_of_ratio(wall[name], wall[OURS])
        rows[name] = {
            "seconds": float(wall[name].sum()),
            "decoding": float(wall[name][-1]),
            "computing": float(computing[name].sum()),
            "faster": float(wall[name].sum() / wall[OURS].sum()),
            "low": low,
            "high": high,
            "faster_computing": float(computing[name].sum() / computing[OURS].sum()),
        }
    return rows


def interval_of_ratio(theirs: np.ndarray, ours: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """The ends of the 95 % interval of sum(theirs) / sum(ours), pairs of laps drawn anew with replacement."""
    chosen = np.random.default_rng(0).integers(len(ours), size=(draws, len(ours)))
    low, high = np.percentile(theirs[chosen].sum(1) / ours[chosen].sum(1), [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--size", nargs="+", default=["2048x512"], metavar="WIDTHxHEIGHT")
    parser.add_argument("--only", nargs="+", default=list(WAYS), choices=list(WAYS), metavar="NAME", help="ways")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--every", type=int, default=1, help="time equal steps once in so many")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    unet = sd15_unet(device=options.device, dtype=torch.bfloat16)
    vae = real_autoencoder().to(options.device, torch.bfloat16).eval()
    figures = {}
    for size in options.size:
        canvas = canvas_for(parse_size(size))
        chosen = dict.fromkeys([OURS, *options.only])
        pictures = {name: WholePicture(unet, vae, WAYS[name], canvas, options.steps) for name in chosen}
        with torch.inference_mode():
            WholePicture(unet, vae, {}, (64, 64), 1).step(0)  # what is made once for all, whoever comes first
        figures[size] = figures_of(make_in_turns(pictures, options.steps, options.every))
    result(figures, options.json)


if __name__ == "__main__":
    main()
