"""How the tiled autoencoder differs from the untiled one, and what it costs: python -m benchmarks.vae [--json].

Keys, for pictures in 0..1: `max_abs`, `mean_abs`, `mean_shift` (largest shift of a colour channel's mean),
`spectral_peak` (power of the difference at the tile pitch over the median power beside it; `spectral_noise` is what 99
of 100 frequencies stay below), `time_ratio` (tiled over untiled by the clock, the best of the repeats of each;
`cpu_time_ratio` by the processor's own count, which other programs disturb less). Real shapes (83.7 M parameters),
random weights, float32. `after_rounds`: the same after five times encoding and decoding, in float64, because random
networks amplify rounding (`control`: untiled, but begun with latents that differ by one part in 1e15).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import arguments as report_arguments
from benchmarks.report import progress
from benchmarks.report import result as report
from benchmarks.vae_models import REAL_CHANNELS, random_autoencoder
from lib_instantas.tiling import Size
from lib_instantas.vae import Options, tiled
from lib_instantas.vae.maps import grid
from lib_instantas.vae.network import decoder_layers, output_sizes, tile_elements

ROUNDS = 5
NEIGHBOURS = 8


def spectral_peak(difference: Tensor, pitches: list[Size]) -> float:
    """Largest power of a difference `[B, C, H, W]` at a tile pitch over the median power beside it; about 1 for noise.

    A grid shows in the mean over the other axis: that profile's spectrum is taken at the pitch and its harmonics.
    """
    peaks = [1.0]
    for axis in (-2, -1):
        power = _profile_power(difference, axis)
        counts = {round(difference.shape[axis] / pitch[axis]) for pitch in pitches}
        peaks += [_over_neighbours(power, k) for count in counts if count > 1 for k in (count, 2 * count, 3 * count)]
    return max(peaks)


def spectral_noise(difference: Tensor) -> float:
    """What the same ratio stays below at 99 of 100 frequencies, whatever the pitch."""
    powers = [_profile_power(difference, axis) for axis in (-2, -1)]
    ratios = [_over_neighbours(power, k) for power in powers for k in range(1, len(power))]
    return float(torch.tensor(ratios).quantile(0.99))


def _profile_power(difference: Tensor, axis: int) -> Tensor:
    profile = difference.double().mean(-3 - axis).flatten(0, -2)
    return torch.fft.rfft(profile - profile.mean(-1, keepdim=True)).abs().square().sum(0)


def _over_neighbours(power: Tensor, index: int) -> float:
    beside = [i for i in range(index - NEIGHBOURS, index + NEIGHBOURS + 1) if 0 < i < len(power) and i != index]
    floor = float(power[beside].median())
    return float(power[index]) / floor if floor > 0 else 1.0


def pitches(decoder: torch.nn.Module, latent: Size, tile: int) -> list[Size]:
    """The sizes of the tiles of every layer, in image pixels."""
    layers = decoder_layers(decoder)
    sizes = output_sizes(layers, latent)
    elements = tile_elements(layers, latent, tile)
    first = [grid(size, max(1, elements // layer.width))[0].size for layer, size in zip(layers, sizes, strict=True)]
    full = sizes[-1]
    return sorted({(h * full[0] // s[0], w * full[1] // s[1]) for (h, w), s in zip(first, sizes, strict=True)})


def differences(tiled_picture: Tensor, untiled: Tensor, where: list[Size]) -> dict[str, float]:
    """The keys that compare two pictures, given in -1..1."""
    difference = (tiled_picture - untiled) / 2
    return {
        "max_abs": float(difference.abs().max()),
        "mean_abs": float(difference.abs().mean()),
        "mean_shift": float(difference.mean((0, 2, 3)).abs().max()),
        "spectral_peak": spectral_peak(difference, where),
        "spectral_noise": spectral_noise(difference),
    }


def timed(function: Callable[[], Tensor]) -> tuple[Tensor, tuple[float, float]]:
    """The result, and the seconds by the clock and of the processor that it took."""
    clock, processor = time.perf_counter(), time.process_time()
    return function(), (time.perf_counter() - clock, time.process_time() - processor)


def decoding(model: Any, size: int, options: Options, repeats: int) -> dict[str, float]:
    """Decode a square picture of `size` image pixels both ways, in turn."""
    latents = torch.randn(1, 4, size // 8, size // 8)
    ordinary, in_tiles = [], []
    for _ in range(repeats):
        untiled, seconds = timed(lambda: model.decode(latents).sample)
        ordinary.append(seconds)
        with tiled(model, options):
            result, seconds = timed(lambda: model.decode(latents).sample)
        in_tiles.append(seconds)
        progress(f"untiled {ordinary[-1][0]:.1f} s, tiled {in_tiles[-1][0]:.1f} s")
    where = pitches(model.decoder, (size // 8, size // 8), options.tile)
    clock, processor = (min(map(itemgetter(i), in_tiles)) / min(map(itemgetter(i), ordinary)) for i in (0, 1))
    return {**differences(result, untiled, where), "time_ratio": clock, "cpu_time_ratio": processor}


def rounds(model: Any, size: int, options: Options) -> dict[str, float]:
    """The same comparison after five times encoding and decoding, in float64."""
    model.double()
    latents = torch.randn(1, 4, size // 8, size // 8, dtype=torch.float64)

    def go_round(latents: Tensor) -> Tensor:
        picture = model.decode(latents).sample
        for _ in range(ROUNDS):
            picture = model.decode(model.encode(picture.clamp(-1, 1)).latent_dist.mean).sample
        return picture

    untiled = go_round(latents)
    with tiled(model, options):
        result = go_round(latents)
    control = (go_round(latents * (1 + 1e-15)) - untiled).abs().mean() / 2
    where = pitches(model.decoder, (size // 8, size // 8), options.tile)
    return {**differences(result, untiled, where), "control": float(control)}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = report_arguments(__doc__)
    parser.add_argument("--size", type=int, default=1024, help="side of the decoded picture, pixels")
    parser.add_argument("--rounds-size", type=int, default=192, help="side of the picture that goes five times round")
    parser.add_argument("--tile", type=int, default=512, help="tile, pixels")
    parser.add_argument("--mode", default="exact", choices=("exact", "fast"))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--narrow", type=int, default=1, help="divide the channels by this, for a quick look")
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    """Measure both shapes; the top-level keys are the worse of the two."""
    given = arguments()
    channels = tuple(count // given.narrow for count in REAL_CHANNELS)
    results: dict[str, Any] = {}
    for seed, shape in enumerate(("sd1", "sdxl")):
        model = random_autoencoder(shape, seed, channels)
        found: dict[str, Any] = decoding(model, given.size, Options(tile=given.tile, mode=given.mode), given.repeats)
        small = Options(tile=max(64, given.rounds_size // 2), mode=given.mode)
        found["after_rounds"] = rounds(model, given.rounds_size, small)
        results[shape] = found
        progress(f"{shape} {found}")
    keys = ("max_abs", "mean_abs", "mean_shift", "spectral_peak", "time_ratio", "cpu_time_ratio")
    summary = {key: max(results[shape][key] for shape in results) for key in keys}
    conditions = {"size": given.size, "tile": given.tile, "mode": given.mode, "channels": channels}
    report({**summary, **results, **conditions}, given.json)


if __name__ == "__main__":
    main()
