"""How much faster several devices make a picture, predicted: python -m benchmarks.scaling [--json] [--devices 8].

`torchrun --nproc-per-node N -m lib_instantas generate` shares the tiles of each evaluation, with one message from each
process to all. Predicted for the defaults on SD 1.5's shape, 20 evaluations with guidance, from what is measured here:
the time of a UNet call for each shape and number of tiles that the engine asks for, and the size of the messages, which
the plans say. The rest is assumed and can be given: `--bandwidth` (GB/s that a device sends) and `--latency`
(microseconds of a message). For each canvas:

- `speedup`: the time of a run on one device over that on all of them, without decoding; `speedup_of_cards` with the
  paper's time of a tile on an RTX 4090, where messages count for more, instead of what is measured here;
- `busy`: the mean device's computing over that of the one that has most to do;
- `megabytes`: what a device sends in an evaluation, and `communication`: the share of the run that messages take;
- `decoding_megabytes`: what a device sends in all while the picture is decoded in tiles, a stretch for each.

`--real N` also makes a picture of Small World in one process and in N, of one thread each, through the command itself:
`real_speedup` is the time of its steps in one process over that in N, and says most about the cores that are free.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.report import arguments, progress, result
from benchmarks.tables.paper import INSTANTAS_2_SECONDS
from benchmarks.unet import NATIVE, inputs, sd15_unet
from benchmarks.vae_models import real_autoencoder
from benchmarks.whole_pictures import lap
from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import Method, Request, make_method
from lib_instantas.processes import Kind, Processes
from lib_instantas.settings import parse_settings
from lib_instantas.sizes import canvas_for, parse_size
from lib_instantas.tiling import Size
from lib_instantas.vae.network import decoder_layers

EVALUATIONS = 20
ROWS = 2
"""One with the prompt and one without."""
CANVASES = ("4096x4096", "8192x8192")
Seconds = Callable[[Size, int], float]
"""(tile, how many at once) -> seconds of one call."""


def main() -> None:
    """Measure, predict and print."""
    parser = arguments(__doc__)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--size", nargs="+", default=list(CANVASES), metavar="WIDTHxHEIGHT")
    parser.add_argument("--bandwidth", type=float, default=12.0, help="GB/s that a device sends (12: PCIe 4.0)")
    parser.add_argument("--latency", type=float, default=100.0, help="microseconds of a message (100)")
    parser.add_argument("--real", type=int, default=0, metavar="N", help="also make a picture in N processes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    calls = MeasuredCalls(options.device)
    figures: dict[str, Any] = {"devices": options.devices}
    for size in options.size:
        given = (calls.x, options.bandwidth * 1e9, options.latency * 1e-6)
        figures[size] = predicted(size, options.devices, calls, *given)
        figures[size]["speedup_of_cards"] = predicted(size, options.devices, on_the_papers_card, *given)["speedup"]
        figures[size]["decoding_megabytes"] = decoding_bytes(canvas_for(parse_size(size)), options.devices) / 1e6
    if options.real:
        figures |= real(options.real)
    result(figures, options.json)


def on_the_papers_card(tile: Size, count: int) -> float:
    """Seconds of a call on an RTX 4090: 50 steps of 64 tiles of 64x64 in the paper's table 2, by pixels."""
    return INSTANTAS_2_SECONDS["4096x4096"]["InstantAS"] / (50 * 64) * count * tile[0] * tile[1] / NATIVE**2


class MeasuredCalls:
    """Seconds of a UNet call of SD 1.5's shape, each kind measured once: the median of three after the first."""

    def __init__(self, device: str) -> None:
        dtype = torch.float16 if torch.device(device).type == "cuda" else torch.bfloat16
        self.unet = sd15_unet(device=device, dtype=dtype)
        self.x = torch.zeros(ROWS, 4, 8, 8, device=device, dtype=dtype)
        self._known: dict[tuple[Size, int], float] = {}

    @torch.inference_mode()
    def __call__(self, tile: Size, count: int) -> float:
        """Of so many tiles of (height, width) latent pixels at once."""
        if (tile, count) not in self._known:
            x, time_step, tokens = inputs(self.unet, *tile, ROWS * count)

            def call() -> None:
                self.unet(x, time_step, tokens, return_dict=False)

            call()
            self._known[tile, count] = median(lap(call, self.x.device).wall for _ in range(3))
            progress(f"{count} of {tile[0]}x{tile[1]}: {self._known[tile, count]:.3f} s")
        return self._known[tile, count]


def predicted(
    size: str, devices: int, seconds: Seconds, x: torch.Tensor, bandwidth: float, latency: float
) -> dict[str, float]:
    """The figures of a run, from the seconds of its calls; `bandwidth` in bytes a second, `latency` in seconds.

    `x` is like the model's input: rows, channels, kind of number and device.
    """
    method = make_method(Request(canvas_for(parse_size(size)), NATIVE, parse_settings({"enabled": True}), steps=20))
    alone = together = computing = messages = sent = 0.0
    for evaluation in range(EVALUATIONS):
        alone += seconds_of(method, evaluation, Processes(), seconds, x)
        each = [seconds_of(method, evaluation, Processes(rank, devices), seconds, x) for rank in range(devices)]
        message = bytes_of(method, evaluation, devices, x)
        together += max(each)
        computing += sum(each) / devices
        # Each device hands on what the others have made: a ring of as many steps less one.
        messages += (devices - 1) * (message / bandwidth + latency)
        sent += (devices - 1) * message
    return {
        "speedup": alone / (together + messages),
        "busy": computing / together,
        "megabytes": sent / EVALUATIONS / 1e6,
        "communication": messages / (together + messages),
    }


def seconds_of(method: Method, evaluation: int, processes: Processes, seconds: Seconds, x: torch.Tensor) -> float:
    """What one device computes for an evaluation."""
    denoiser = TiledDenoiser(lambda x, sigma: x, method, processes=processes)
    return sum(seconds(tiles[0].size, len(tiles)) for tiles in denoiser.calls(method.plan(evaluation), x))


def bytes_of(method: Method, evaluation: int, devices: int, x: torch.Tensor) -> int:
    """The message of the device that has the most to tell; all are of that length."""
    shares = TiledDenoiser(lambda x, sigma: x, method, processes=Processes(0, devices)).divided(method.plan(evaluation))
    return max(sum(Kind((*x.shape[:2], *tile.size), x.dtype).room for tile in share) for share in shares)


def decoding_bytes(canvas: Size, devices: int, itemsize: int = 2) -> float:
    """What a device sends while a latent canvas is decoded: the seams of its stretch, and all where attention is.

    A stretch has two neighbours, each of which reads one row of every map that a convolution of 3x3 reads.
    """
    with torch.device("meta"):
        layers = decoder_layers(real_autoencoder().decoder)
    sent, size, channels = 0.0, canvas, 4
    for layer in layers:
        everything = channels * size[0] * size[1] * itemsize
        sent += everything / devices if layer.looks_everywhere else 2 * channels * size[1] * itemsize
        size, channels = layer.out_size(size), layer.channels
    return sent + channels * size[0] * size[1] * itemsize / devices


def real(processes: int) -> dict[str, float]:
    """The seconds of a picture's steps in one process and in several, by the command's own progress bar."""
    seconds = {count: _seconds_of_command(count) for count in (1, processes)}
    return {"real_speedup": seconds[1] / seconds[processes], "real_seconds": seconds[processes]}


def _seconds_of_command(processes: int) -> float:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            [*command, "-m", "lib_instantas", "generate", "a harbour", "--size", "1024x256", "--steps", "20",
             "-o", str(Path(folder) / "picture.png")],
            capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    minutes, seconds = re.findall(r"20/20 \[(\d+):(\d+)", made.stderr)[-1]
    return 60 * int(minutes) + int(seconds)


if __name__ == "__main__":
    main()
