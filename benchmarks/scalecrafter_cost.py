"""What ScaleCrafter's tables cost: python -m benchmarks.scalecrafter_cost [--json].

Arithmetic of a run of 50 evaluations with guidance, over that of the same canvas asked about as trained (`direct`):
multiplications in convolutions, attention and linear layers, counted on UNets of the shapes of SD 1.5 and SDXL that
have no weights. `dispersed` is the same for the paper's settings up to a factor of 3 with kernels dispersed first, as
they were here before. Nothing is timed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import arguments, progress, result
from benchmarks.unet import UNETS
from benchmarks.unet import unet as shaped
from lib_instantas.denoiser import ModelCall
from lib_instantas.methods import Dilation, Direct, Redilated, Request, make_method
from lib_instantas.redilation import Redilation, levels_of
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import LATENT_SCALE, Size

STEPS = 50
SHAPES: dict[str, tuple[int, tuple[Size, ...]]] = {
    "SD 1.5": (64, ((128, 128), (160, 160), (128, 256), (256, 256))),
    "SDXL": (128, ((256, 256), (320, 320), (256, 512), (512, 512))),
}
"""The side that each model knows, and the sizes of the paper's tables, in latent pixels."""


@cache
def unet(name: str) -> Any:
    """A UNet of diffusers without weights."""
    return shaped(UNETS[name], device="meta")


@dataclass(frozen=True)
class Count:
    """The arithmetic of one row of a canvas through a UNet."""

    name: str
    canvas: Size

    def of(self, redilation: Redilation | None, evaluation: int = 0) -> int:
        """Multiplications of an evaluation."""
        model, words = unet(self.name), unet(self.name).config.cross_attention_dim
        plan = Direct(self.canvas).plan(0)
        more = {
            "text_embeds": torch.empty(1, 1280, device="meta"),
            "time_ids": torch.empty(1, 6, device="meta"),
        }
        with ExitStack() as stack:
            if redilation is not None:
                stack.enter_context(redilation(ModelCall(plan, plan.tiles, 1, evaluation)))
            counter = stack.enter_context(FlopCounterMode(display=False))
            x, prompt = (torch.empty(1, *size, device="meta") for size in ((4, *self.canvas), (77, words)))
            model(x, torch.zeros(1, device="meta"), prompt, added_cond_kwargs=more)
        return counter.get_total_flops()

    def ratio(self, dilation: Dilation) -> float:
        """A run's arithmetic over that without dilation."""
        redilation, plain, total = Redilation(unet(self.name), dilation), self.of(None), 0
        known: dict[Any, int] = {}
        for evaluation in range(STEPS):
            levels = dilation.at(evaluation)
            if levels not in known:
                known[levels] = 2 * self.of(redilation, evaluation)
                if redilation.damps(evaluation):
                    with redilation.denoising():
                        known[levels] += self.of(redilation, evaluation)
            total += known[levels]
        return total / (2 * STEPS * plain)


def measure() -> dict[str, float]:
    """All figures, by model and size in image pixels."""
    figures = {}
    for name, (side, canvases) in SHAPES.items():
        for canvas in canvases:
            settings = parse_settings({"method": "ScaleCrafter"})
            method = make_method(Request(canvas, side, settings, steps=STEPS, levels=levels_of(unet(name))))
            assert isinstance(method, Redilated)
            label = f"{name} {canvas[1] * LATENT_SCALE}x{canvas[0] * LATENT_SCALE}"
            count = Count(name, canvas)
            figures[label] = count.ratio(method.dilation)
            if 2 < method.dilation.factor <= 3:
                levels = tuple(replace(level, dispersed=True) for level in method.dilation.levels)
                figures[f"{label}, dispersed"] = count.ratio(replace(method.dilation, levels=levels))
            progress(f"{label}: {figures[label]:.2f}")
    return figures


def main() -> None:
    """Count and print."""
    given = arguments(__doc__).parse_args()
    result(measure(), given.json)


if __name__ == "__main__":
    main()
