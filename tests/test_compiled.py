"""Models that are compiled for the shapes they meet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_unets import diffusers_unet
from torch._dynamo.utils import counters

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings

EVALUATIONS = 12


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> Any:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def compilations(**settings: Any) -> list[int]:
    """How many graphs have been compiled after each evaluation of a run."""
    unet = diffusers_unet()
    compiled = torch.compile(unet, backend="eager", dynamic=False)

    def model(x: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = compiled(x, sigma, tokens, return_dict=False)[0]
        return result

    canvas = (40, 88)
    method = make_method(Request(canvas, 32, parse_settings({"tile": 256, **settings}), steps=EVALUATIONS))
    denoiser = TiledDenoiser(model, method, tile_batch=1)
    x = torch.randn(1, unet.config.in_channels, *canvas)
    tokens = torch.randn(1, 5, unet.config.cross_attention_dim)
    compiled_so_far = []
    with torch.no_grad():
        for _ in range(EVALUATIONS):
            denoiser(x, torch.full((1,), 500), tokens=tokens)
            denoiser.next_evaluation()
            compiled_so_far.append(counters["stats"]["unique_graphs"])
    return compiled_so_far


def test_fixed_tiles_are_compiled_in_the_first_evaluation_and_never_again() -> None:
    after = compilations(fit="fixed")
    assert after[0] > 0
    assert after == [after[0]] * EVALUATIONS


def test_other_tiles_are_compiled_again_where_their_shape_is_another() -> None:
    after = compilations(fit="fitted", edges="elastic")
    assert after[-1] > after[0]
