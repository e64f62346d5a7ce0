"""How a UNet's time grows with the tile: the share of self-attention's quadratic part at the native tile.

Times single calls of an SD 1.5-shaped UNet with random weights on square tiles and fits time = a * area + b * area^2
by least squares of relative errors, areas as shares of the native tile's. `quadratic` = b / (a + b) is the constant in
`lib_instantas.tiling.CostModel`; `worst` is the largest relative error of the fit.
"""

from __future__ import annotations

import statistics

import numpy as np
import torch

from benchmarks.overhead import seconds
from benchmarks.report import arguments, progress, result
from benchmarks.unet import NATIVE, inputs, sd15_unet

SIDES = (48, 56, 64, 80, 96, 128)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="calls per tile size (default 3)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    unet = sd15_unet(options.device)
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
