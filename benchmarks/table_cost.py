"""What one evaluation of a method costs on a UNet of Stable Diffusion 2.0's shape, counted and, on a GPU, timed.

Counting follows the UNet op by op with tensors that have shapes but no data, so it needs neither the GPU nor the
memory: multiply-adds as torch's flop counter knows them, and the bytes of all tensors that live at once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from benchmarks.allocations import AllocationMeter
from benchmarks.table_variants import Variant
from lib_instantas.denoiser import AUTO_BATCH_PIXELS, TiledDenoiser
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import LATENT_SCALE, Size, TilePlan

NATIVE = 64
TOKENS, TOKEN_WIDTH = 77, 1024
GUIDED_ROWS = 2
"""One conditional and one unconditional row."""
STEPS = 50


def sd20_unet(device: str) -> Any:
    """A UNet of Stable Diffusion 2.0's shape with random weights in fp16."""
    from diffusers import UNet2DConditionModel

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        with torch.device(device):
            unet: Any = UNet2DConditionModel(
                sample_size=NATIVE,
                block_out_channels=(320, 640, 1280, 1280),
                cross_attention_dim=TOKEN_WIDTH,
                attention_head_dim=(5, 10, 20, 20),
                use_linear_projection=True,
            )
    finally:
        torch.set_default_dtype(before)
    return unet.eval().requires_grad_(False)


@dataclass(frozen=True)
class Cost:
    """One evaluation with guidance: tiles, 10^12 multiply-adds, and GiB alive at once besides the weights."""

    tiles: int
    teraflops: float
    gibibytes: float


def plan_of(variant: Variant, size: Size) -> TilePlan:
    """The variant's tiles at (height, width) image pixels for a model of 512x512."""
    settings = parse_settings({"enabled": True, **dict(variant.settings)})
    canvas = (size[0] // LATENT_SCALE, size[1] // LATENT_SCALE)
    return make_method(Request(canvas, NATIVE, settings)).plan(1)


def cost_of(variant: Variant, size: Size) -> Cost:
    """What one evaluation of a variant costs."""
    plan = plan_of(variant, size)
    counts = Counter(tile.size for tile in plan.tiles)
    work = sum(number * _call_cost(tile, GUIDED_ROWS)[0] for tile, number in counts.items())
    memory = max(_call_cost(tile, _rows_at_once(tile, number))[1] for tile, number in counts.items())
    return Cost(len(plan.tiles), work / 1e12, memory / 2**30)


def _rows_at_once(tile: Size, number: int) -> int:
    """As many rows as the engine sends through a GPU at once."""
    automatic = max(1, AUTO_BATCH_PIXELS // (GUIDED_ROWS * tile[0] * tile[1]))
    return GUIDED_ROWS * min(number, automatic)


@lru_cache(maxsize=64)
def _call_cost(tile: Size, rows: int) -> tuple[int, int]:
    """(multiply-adds, peak bytes) of one call with `rows` rows of a tile in fp16."""
    mode, unet = _fake_unet()
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    meter, flops = AllocationMeter(), FlopCounterMode(display=False, custom_mapping=attention)
    with mode, torch.no_grad():
        x = torch.empty(rows, 4, *tile, dtype=torch.float16)
        tokens = torch.empty(rows, TOKENS, TOKEN_WIDTH, dtype=torch.float16)
        with flops, meter:
            unet(x, torch.zeros(rows), tokens, return_dict=False)
    return flops.get_total_flops() // 2, meter.peak["cpu"]


@lru_cache(maxsize=1)
def _fake_unet() -> tuple[FakeTensorMode, Any]:
    mode = FakeTensorMode()
    with mode:
        return mode, sd20_unet("cpu")


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Two products of every query with every key (shapes [B, heads, tokens, width])."""
    return int(sdpa_flop_count(query, key, value))


def seconds_on_gpu(variants: dict[str, Variant], size: Size) -> dict[str, float]:
    """Seconds of 50 steps with guidance in fp16, from three evaluations each; what does not fit is left out."""
    with torch.inference_mode():
        unet = sd20_unet("cuda")
        return {name: value for name, variant in variants.items() if (value := _timed(unet, variant, size)) is not None}


def _timed(unet: Any, variant: Variant, size: Size) -> float | None:
    settings = parse_settings({"enabled": True, **dict(variant.settings)})
    canvas = (size[0] // LATENT_SCALE, size[1] // LATENT_SCALE)

    def model(x: torch.Tensor, time_step: torch.Tensor, **tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = unet(x, time_step, return_dict=False, **tokens)[0]
        return result

    denoiser = TiledDenoiser(model, make_method(Request(canvas, NATIVE, settings)))
    x = torch.randn(GUIDED_ROWS, 4, *canvas, device="cuda", dtype=torch.float16)
    tokens = torch.randn(GUIDED_ROWS, TOKENS, TOKEN_WIDTH, device="cuda", dtype=torch.float16)
    try:
        with _stopwatch() as lap:
            for _ in range(4):
                denoiser(x, torch.full((GUIDED_ROWS,), 500.0, device="cuda"), encoder_hidden_states=tokens)
                denoiser.next_evaluation()
                lap()
    except torch.cuda.OutOfMemoryError:
        return None
    finally:
        torch.cuda.empty_cache()
    return STEPS * (lap.times[-1] - lap.times[0]) / 3


class _Lap:
    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self) -> None:
        torch.cuda.synchronize()
        self.times.append(time.perf_counter())


@contextmanager
def _stopwatch() -> Iterator[_Lap]:
    yield _Lap()
