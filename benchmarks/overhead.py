"""What the engine itself costs on an SD 1.5-shaped UNet with random weights, 2048x512 pixels.

`overhead` is the tiled denoiser's time over that of the UNet calls which it makes, timed inside the same run (runs
apart differ by more than there is to see), the median of `--repeats` evaluations. How fast whole pictures are beside
other methods' is said by `benchmarks.whole_pictures`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.report import arguments, progress, result
from benchmarks.unet import NATIVE, inputs, sd15_unet
from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.sizes import canvas_for, parse_size

Evaluate = Callable[[], Any]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="evaluations to time (default 3)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    unet = sd15_unet(device=options.device)
    with torch.inference_mode():
        figures = {"overhead": overhead(unet, "2048x512", options.repeats)}
    result(figures, options.json)


def tiled(unet: Any, size: str) -> Evaluate:
    """One evaluation of the canvas through the engine; the grid moves on from call to call."""
    canvas = canvas_for(parse_size(size))
    # A long run: its last tenth, with wider tiles, is not reached.
    method = make_method(Request(canvas, NATIVE, parse_settings({"enabled": True}), steps=1000))
    x, time_step, tokens = inputs(unet, *canvas)

    def model(x: torch.Tensor, sigma: torch.Tensor, **conditioning: torch.Tensor) -> torch.Tensor:
        return unet(x, sigma, return_dict=False, **conditioning)[0]

    denoiser = TiledDenoiser(model, method)

    def run() -> torch.Tensor:
        prediction = denoiser(x, time_step, encoder_hidden_states=tokens)
        denoiser.next_evaluation()
        return prediction

    return run


class TimedUNet(torch.nn.Module):
    """A UNet that adds up the seconds spent in its calls."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet, self.spent = unet, 0.0

    def forward(self, *args: Any, **options: Any) -> Any:
        """Call the UNet."""
        result: Any = None

        def call() -> None:
            nonlocal result
            result = self.unet(*args, **options)

        self.spent += seconds(call)
        return result


def overhead(unet: Any, size: str, repeats: int) -> float:
    """Median over runs of time in all / time in the UNet, after a warm-up."""
    timed = TimedUNet(unet)
    run = tiled(timed, size)
    run()
    ratios = []
    for _ in range(repeats):
        timed.spent = 0.0
        ratios.append(seconds(run) / timed.spent)
    progress("overhead: " + " ".join(f"{value:.5f}" for value in ratios))
    return statistics.median(ratios)


def seconds(run: Evaluate) -> float:
    """Wall time of one run, the device's queue emptied before and after."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
