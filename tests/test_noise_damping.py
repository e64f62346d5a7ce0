"""Noise-damped guidance: what a host's guidance makes of the damped predictions is the paper's equation 5."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tiny_unets import unet_of_four_levels

from lib_instantas.denoiser import ModelCall
from lib_instantas.hosts.diffusers import tiled_unet
from lib_instantas.methods import Dilation, Direct, Level
from lib_instantas.noise_damping import damped
from lib_instantas.redilation import Redilation
from lib_instantas.settings import SettingsError, parse_settings

GUIDANCE = 7.5
LARGE: Any = {"enabled": True, "method": "ScaleCrafter", "tile": 64}
"""Of a tile of 8 latent pixels: 32x32 is 16 times the area."""


def redilation(*levels: Level) -> Redilation:
    return Redilation(unet_of_four_levels(), Dilation(levels, 10))


def call(evaluation: int = 0) -> ModelCall:
    plan = Direct((32, 32)).plan(0)
    return ModelCall(plan, plan.tiles, 2, evaluation)


@torch.no_grad()
@pytest.mark.parametrize("apart", [False, True])
def test_guidance_of_the_damped_rows_is_equation_5(apart: bool) -> None:
    part = redilation(Level(4, dispersed=True), Level(2, damped=True))
    unet = unet_of_four_levels()
    part.levels = Redilation(unet, part.dilation).levels
    x, prompts = torch.randn(2, 4, 32, 32), torch.randn(2, 5, 12)

    def ask(x: torch.Tensor, sigma: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        with part(call()):
            return unet(x, sigma, prompts).sample

    time = torch.tensor(500)
    far = ask(x, time, prompts)
    with part.denoising():
        strong = ask(x[:1], time, prompts[:1])
    if apart:
        rows = [
            damped(ask, part, scales, x[i : i + 1], time, {"prompts": prompts[i : i + 1]})
            for i, scales in enumerate(([GUIDANCE], [None]))
        ]
        without, with_prompt = rows
    else:
        without, with_prompt = damped(ask, part, [GUIDANCE, None], x, time, {"prompts": prompts}).chunk(2)
    guided = without + GUIDANCE * (with_prompt - without)
    assert torch.allclose(guided, strong + GUIDANCE * (far[1:] - far[:1]), atol=1e-4)
    assert not torch.allclose(strong, far[:1], atol=1e-4)


def test_damped_levels_are_as_trained_while_it_denoises() -> None:
    part = redilation(Level(2), Level(2, damped=True))
    deepest, outer = part.levels
    with part(call()):
        assert all("_conv_forward" in vars(one) for one in (*deepest, *outer))
    with part.denoising(), part(call()):
        assert all("_conv_forward" in vars(one) for one in deepest)
        assert not any("_conv_forward" in vars(one) for one in outer)
    assert not part.denoises
    with part(call(evaluation=6)):
        assert not any("_conv_forward" in vars(one) for one in (*deepest, *outer))


def test_a_level_that_estimates_the_noise_is_never_dilated_without_damping() -> None:
    outer = (Level(2),) * 3
    assert len(redilation(*outer, Level(2, damped=True)).levels) == 4
    with pytest.raises(SettingsError, match="between 0 and 3 with this model, got 4"):
        redilation(*outer, Level(2))


@contextmanager
def counted(unet: Any) -> Any:
    rows: list[int] = []
    handle = unet.conv_in.register_forward_pre_hook(lambda module, given: rows.append(len(given[0])))
    try:
        yield rows
    finally:
        handle.remove()


@torch.no_grad()
@pytest.mark.parametrize(("guidance", "rows"), [(7.5, [2, 1, 2, 1, 2, 1, 2]), (1.0, [2] * 4)])
def test_a_damped_evaluation_asks_once_more_without_the_prompt_where_there_is_guidance(
    guidance: float, rows: list[int]
) -> None:
    unet, prompts = unet_of_four_levels(), torch.randn(2, 5, 12)
    with counted(unet) as seen, tiled_unet(unet, parse_settings(LARGE), steps=4, guidance=guidance):
        for _ in range(4):
            unet(torch.randn(2, 4, 32, 32), 500, prompts)
    assert seen == rows
