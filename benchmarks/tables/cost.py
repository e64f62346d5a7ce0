"""What one evaluation of a method costs on a UNet of Stable Diffusion 2.0's shape, counted, and timed.

Counting follows the UNet op by op with tensors that have shapes but no data, so it needs neither the GPU nor the
memory: multiply-adds as torch's flop counter knows them, and the bytes of all tensors that live at once.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from benchmarks.memory.allocations import AllocationMeter
from benchmarks.tables.painters import Order
from benchmarks.tables.pictures import Easel
from benchmarks.tables.variants import OWN, Shape, Variant
from benchmarks.unet import NATIVE, inputs, sd20_unet
from lib_instantas.denoiser import AUTO_BATCH_PIXELS, TiledDenoiser
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import LATENT_SCALE, Size, TilePlan

GUIDED_ROWS = 2
"""One conditional and one unconditional row."""
STEPS = 50


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
    meter, flops = AllocationMeter(), FlopCounterMode(display=False, custom_mapping=_attention())
    with mode, torch.no_grad():
        x, time_step, tokens = inputs(unet, *tile, rows)
        with flops, meter:
            unet(x, time_step, tokens, return_dict=False)
    return flops.get_total_flops() // 2, meter.peak["cpu"]


@lru_cache(maxsize=1)
def _fake_unet() -> tuple[FakeTensorMode, Any]:
    mode = FakeTensorMode()
    with mode:
        return mode, sd20_unet(dtype=torch.float16)


def _attention() -> dict[Any, Any]:
    """What torch from 2.2 on calls attention on a processor; before, it bore the name that the counter knows."""
    name = "_scaled_dot_product_flash_attention_for_cpu"
    aten = torch.ops.aten
    return {getattr(aten, name): _attention_flops} if hasattr(aten, name) else {}


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Two products of every query with every key (shapes [B, heads, tokens, width])."""
    return int(sdpa_flop_count(query, key, value))


@torch.inference_mode()
def seconds_per_evaluation(unet: Any, variant: Variant, size: Size, evaluations: int = 3) -> float:
    """Mean seconds of evaluations with guidance, after the first; on a CPU seconds of computing."""
    settings = parse_settings({"enabled": True, **dict(variant.settings)})
    canvas = (size[0] // LATENT_SCALE, size[1] // LATENT_SCALE)

    def model(x: torch.Tensor, time_step: torch.Tensor, **tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = unet(x, time_step, return_dict=False, **tokens)[0]
        return result

    # A long run: its last tenth, with wider tiles, is not reached.
    denoiser = TiledDenoiser(model, make_method(Request(canvas, NATIVE, settings, steps=STEPS)))
    x, time_step, tokens = inputs(unet, *canvas, GUIDED_ROWS)
    laps = []
    for _ in range(1 + evaluations):
        laps.append(_clock(x.device))
        denoiser(x, time_step, encoder_hidden_states=tokens)
        denoiser.next_evaluation()
    return (_clock(x.device) - laps[1]) / evaluations


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def peak_of(easel: Easel, variant: Variant, shape: Shape) -> float:
    """MiB of tensors alive at once, besides the weights, in two steps of a picture before it is decoded.

    Decoding is the same for all methods, and on a small model the larger part.
    """
    easel = replace(easel, folder=None)  # A picture that was kept would show nothing.
    easel.paint_one(Order(variant, easel.size(OWN), "the sea by day", 0, 1))
    device = torch.device(easel.device).type
    peaks: list[int] = []
    with AllocationMeter() as meter:
        hook = easel.pipeline.unet.register_forward_hook(lambda *_: peaks.append(meter.peak[device]))
        try:
            easel.paint_one(Order(variant, easel.size(shape), "the sea by day", 0, 2))
        finally:
            hook.remove()
    return peaks[-1] / 2**20
