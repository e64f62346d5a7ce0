"""How a UNet's time grows with the tile: the share of self-attention's quadratic part at the native tile.

Times single calls of an SD 1.5-shaped UNet with random weights on square tiles and fits time = a * area + b * area^2
by least squares of relative errors, areas as shares of the native tile's. `quadratic` = b / (a + b) is the constant in
`lib_instantas.tiling.CostModel`; `worst` is the largest relative error of the fit.

With `--batches` it times tiles with guidance together instead, on Small World's UNet and on the SD 1.5-shaped one:
seconds of processor time per tile by the number of tiles in a call. That is what "Tiles at once: 0" on a CPU rests on.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.overhead import seconds
from benchmarks.report import arguments, progress, result
from benchmarks.unet import NATIVE, inputs, sd15_unet
from small_world import CHECKPOINT
from small_world.checkpoint import load
from small_world.train_unet import text_features

SMALL = 32
"""Side of Small World's tile, latent pixels."""

SIDES = (48, 56, 64, 80, 96, 128)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="calls per tile size (default 3)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batches", action="store_true", help="time tiles together, on the CPU")
    options = parser.parse_args()
    if options.batches:
        result(batches(options.repeats), options.json)
        return
    unet = sd15_unet(device=options.device)
    with torch.inference_mode():
        times = {side: _median_time(unet, side, options.repeats) for side in SIDES}
    result(fit(times), options.json)


def _median_time(unet: torch.nn.Module, side: int, repeats: int) -> float:
    x, time_step, tokens = inputs(unet, side, side)

    def call() -> None:
        unet(x, time_step, tokens, return_dict=False)

    call()
    value = statistics.median(seconds(call) for _ in range(repeats))
    progress(f"{side}x{side}: {value:.3f} s")
    return value


def batches(repeats: int) -> dict[str, float]:
    """Processor seconds per tile of two rows, the median of so many rounds, by model and tiles in a call."""
    small = load(CHECKPOINT)
    features = text_features(small.painter.text, small.tokenizer, ["the sea by day"])
    sd15 = sd15_unet(dtype=torch.bfloat16)

    def paint(tiles: int) -> None:
        rows = 2 * tiles
        noise = torch.randn(rows, 4, SMALL, SMALL)
        small.painter.unet(noise, torch.full((rows,), 500), features.expand(rows, -1, -1))

    def evaluate(tiles: int) -> None:
        x, time_step, tokens = inputs(sd15, NATIVE, NATIVE, 2 * tiles)
        sd15(x, time_step, tokens, return_dict=False)

    with torch.inference_mode():
        return _per_tile("Small World", paint, (1, 2, 4, 8), repeats) | _per_tile("SD 1.5", evaluate, (1, 2), repeats)


def _per_tile(name: str, call: Callable[[int], None], counts: Sequence[int], repeats: int) -> dict[str, float]:
    call(1)
    laps: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(repeats):
        for count in counts:
            begin = time.process_time()
            call(count)
            laps[count].append((time.process_time() - begin) / count)
    return {f"{name}, {count} at once": statistics.median(values) for count, values in laps.items()}


def fit(times: dict[int, float]) -> dict[str, float]:
    """The quadratic share from {side in latent pixels: seconds}, and the fit's worst relative error."""
    area = np.array([(side / NATIVE) ** 2 for side in times])
    time = np.array(list(times.values()))
    terms = np.stack([area, area**2], axis=1) / time[:, None]
    (linear, quadratic), *_ = np.linalg.lstsq(terms, np.ones_like(time), rcond=None)
    worst = np.abs(terms @ [linear, quadratic] - 1).max()
    return {"quadratic": float(quadratic / (linear + quadratic)), "worst": float(worst)}


if __name__ == "__main__":
    main()
