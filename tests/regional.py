"""Small UNets that are asked with regions, and what a test compares their answers with."""

from __future__ import annotations

import pytest
import torch
from tiny_unets import CONTEXT_CHANNELS, UNETS

from lib_instantas.attention import RegionalAttention
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import ModelCall
from lib_instantas.methods import Direct
from lib_instantas.regions import Region
from lib_instantas.shapes import Rectangle

KINDS = pytest.mark.parametrize("kind", list(UNETS))
LEFT = Region(Rectangle(0, 0, 0.5, 1))


def prompt(tokens, rows=1, seed=0):
    return torch.randn(rows, tokens, CONTEXT_CHANNELS, generator=torch.Generator().manual_seed(seed))


def whole(height, width):
    return Direct((height, width)).plan(0)


def attention_for(unet, setup, layout):
    attention = RegionalAttention([unet], setup)
    attention.layout = layout
    return attention


def regional(kind, unet, setup, x, *groups):
    """The UNet's answer for the canvas x, its rows being those of the groups one after another."""
    laid, layout = lay_out(*groups)
    call = ModelCall(whole(*x.shape[-2:]), whole(*x.shape[-2:]).tiles, len(x))
    with attention_for(unet, setup, layout)(call):
        return UNETS[kind][1](unet, x, torch.cat(laid))


def loop_over_halves(original, prompts):
    def forward(x, **_):
        side = round(x.shape[1] ** 0.5)
        is_left = (torch.arange(side) < side / 2).repeat(side)
        out = original(x, prompts[0])
        out[:, is_left] = original(x[:, is_left], prompts[1])
        return out

    return forward


def of_another_library(q, k, v):
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


def everything_attached(unet):
    return [(dict(vars(m)), dict(m._forward_pre_hooks), dict(m._forward_pre_hooks_with_kwargs)) for m in unet.modules()]
