"""How memory follows the tile and not the canvas: python -m benchmarks.memory [--json].

Counted: bytes of tensors alive at once, above the model, op by op, for networks of the real shapes in half precision
(SD 1.5's UNet, the autoencoder that SD 1.x, 2.x and SDXL share) on a GPU that need not be there (see fake_device).
Measured: the growth of a real process over five runs in a row, with networks of a quarter of the channels.
Every canvas has a process of its own. MiB everywhere; canvases are WIDTHx512 image pixels.

Keys: `unet_growth` (tiled, 8k over 2k), `vae_tiled_over_untiled_2048` (device part, 2048x2048), `vae_4096_mib` (device
part, 4096x4096; `vae_4096_main_mib` is what it keeps in main memory), `runs_growth` (resident after the fifth run over
after the second).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.memory.allocations import AllocationMeter
from benchmarks.memory.fake_device import MIB, decoding_mib, fake_tensors, put, without_data
from benchmarks.report import arguments, progress, result
from benchmarks.unet import NATIVE, TOKEN_WIDTH, TOKENS
from benchmarks.vae_models import real_autoencoder
from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.vae import Options, tiled

HEIGHT = 512
WIDTHS = (1024, 2048, 4096, 8192)
NARROW = (32, 64, 128, 128)
RUNS = 5


def unet(channels: tuple[int, ...] = (320, 640, 1280, 1280)) -> Any:
    """A UNet of SD 1.5's layout."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=NATIVE, block_out_channels=channels, cross_attention_dim=TOKEN_WIDTH, attention_head_dim=8
    )


def denoiser(model: Any, height: int, width: int, method: str) -> TiledDenoiser:
    """The model for a canvas of this many image pixels, one tile at a time."""
    settings = parse_settings({"enabled": True, "method": method, "tile_batch": 1})

    def call(x: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return model(x, sigma, encoder_hidden_states=tokens).sample

    return TiledDenoiser(call, make_method(Request((height // 8, width // 8), NATIVE, settings)), tile_batch=1)


def unet_mib(height: int, width: int, method: str) -> float:
    """Peak MiB above the model for one evaluation with a conditional and an unconditional row."""
    model = without_data(unet)
    with fake_tensors():
        put(model, "cpu", torch.float16)
        ask = denoiser(model, height, width, method)
        x = torch.empty(2, 4, height // 8, width // 8, dtype=torch.float16)
        tokens = torch.empty(2, TOKENS, TOKEN_WIDTH, dtype=torch.float16)
        with AllocationMeter() as meter:
            ask(x, torch.ones(2), tokens=tokens)
        return meter.peak["cpu"] / MIB


def vae_mib(height: int, width: int, way: str) -> tuple[float, float]:
    """Peak MiB above the model on the device and in main memory; `way` is "tiled" or "direct"."""
    options = Options(store="main") if way == "tiled" else None
    return decoding_mib(real_autoencoder, height, width, torch.float16, options)


@torch.no_grad()
def resident_growth(run: Callable[[], object]) -> float:
    """Resident memory after the fifth run over that after the second."""
    seen = []
    for _ in range(RUNS):
        run()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        seen.append(_resident())
    return seen[-1] / seen[1]


def _resident() -> int:
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1])


def unet_runs() -> float:
    """Five tiled evaluations of a narrow UNet."""
    torch.manual_seed(0)
    ask = denoiser(unet(NARROW).eval(), HEIGHT, 1024, "InstantAS")
    x, tokens = torch.randn(1, 4, HEIGHT // 8, 128), torch.randn(1, TOKENS, TOKEN_WIDTH)
    return resident_growth(lambda: ask(x, torch.ones(1), tokens=tokens))


def vae_runs() -> float:
    """Five tiled decodings with a narrow autoencoder."""
    torch.manual_seed(0)
    model = real_autoencoder(NARROW).eval()
    latents = torch.randn(1, 4, HEIGHT // 8, 128)

    def run() -> None:
        with tiled(model, Options(tile=256)):
            model.decode(latents)

    return resident_growth(run)


JOBS: dict[str, Callable[..., Any]] = {
    "unet": unet_mib,
    "vae": vae_mib,
    "unet_runs": unet_runs,
    "vae_runs": vae_runs,
}


def in_subprocess(name: str, *given: object) -> Any:
    """The answer of one job from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--job", json.dumps([name, *given])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} {given} failed:\n{done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    progress(f"{name} {' '.join(map(str, given))}: {answer}")
    return answer


def measure() -> dict[str, Any]:
    """All figures."""
    unets = {way: [in_subprocess("unet", HEIGHT, width, way) for width in WIDTHS] for way in ("InstantAS", "direct")}
    vaes = {way: [in_subprocess("vae", HEIGHT, width, way) for width in WIDTHS] for way in ("tiled", "direct")}
    squares = {
        (side, way): in_subprocess("vae", side, side, way) for side in (2048, 4096) for way in ("tiled", "direct")
    }
    return {
        "unet_growth": unets["InstantAS"][3] / unets["InstantAS"][1],
        "vae_tiled_over_untiled_2048": squares[2048, "tiled"][0] / squares[2048, "direct"][0],
        "vae_4096_mib": squares[4096, "tiled"][0],
        "vae_4096_main_mib": squares[4096, "tiled"][1],
        "vae_4096_untiled_mib": squares[4096, "direct"][0],
        "runs_growth": max(in_subprocess("unet_runs"), in_subprocess("vae_runs")),
        "widths": list(WIDTHS),
        "unet_tiled_mib": unets["InstantAS"],
        "unet_untiled_mib": unets["direct"],
        "vae_tiled_mib": [device for device, _ in vaes["tiled"]],
        "vae_tiled_main_mib": [main for _, main in vaes["tiled"]],
        "vae_untiled_mib": [device for device, _ in vaes["direct"]],
        "networks": "SD 1.5 UNet and SD 1/2/SDXL autoencoder, float16, no data; runs_growth: a quarter of the channels",
    }


def main() -> None:
    """One job, or all of them."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        name, *values = json.loads(given.job)
        print(json.dumps(partial(JOBS[name], *values)()))
        return
    result(measure(), given.json)


if __name__ == "__main__":
    main()
