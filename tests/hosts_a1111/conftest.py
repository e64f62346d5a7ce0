from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "host"))

from modules import errors, processing, script_callbacks, scripts, shared

from lib_instantas.hosts.a1111.registration import register
from lib_instantas.hosts.a1111.script import InstantASScript
from lib_instantas.settings import names

NATIVE = 16


class Blocks(torch.nn.Module):
    """A UNet as far as the extension looks: it has a list of blocks on the way in."""

    def __init__(self) -> None:
        super().__init__()
        self.input_blocks = torch.nn.ModuleList()


class Model:
    """A model of 16x16 latents whose prediction depends on each pixel, its neighbours, the text and the tile's mean."""

    image_size = NATIVE
    parameterization = "eps"

    def __init__(self, strength: float = 0.5) -> None:
        self.strength = strength
        self.model = SimpleNamespace(diffusion_model=Blocks())
        self.inputs: list[torch.Size] = []
        self.before_call: Callable[[int], None] = lambda count: None

    def apply_model(self, x: torch.Tensor, sigma: torch.Tensor, cond: dict[str, Any]) -> torch.Tensor:
        self.inputs.append(x.shape)
        self.before_call(len(self.inputs))
        text = cond["c_crossattn"][0].mean(dim=(1, 2)).reshape(-1, 1, 1, 1)
        concat = cond["c_concat"][0].mean(dim=1, keepdim=True)
        near = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
        return self.strength * near * text + 0.1 * concat + 0.05 * x.mean(dim=(1, 2, 3), keepdim=True)


@pytest.fixture
def model() -> Iterator[Model]:
    script_callbacks.registered.clear()
    errors.reported.clear()
    register()
    shared.state.interrupted = shared.state.skipped = False
    shared.sd_model = Model()
    yield shared.sd_model
    assert errors.reported == [], "the host had to swallow an exception"
    shared.sd_model = None


@pytest.fixture
def make(model: Model) -> Callable[..., processing.Processing]:
    """A generation as the API asks for one: a settings object, or None for a request that does not mention us."""

    def make(settings: Any = None, **fields: Any) -> processing.Processing:
        script = InstantASScript()
        script.args_from, script.args_to = 1, 1 + len(names())
        args = [settings, *[None] * (len(names()) - 1)] if isinstance(settings, dict) else settings or []
        return processing.Processing(scripts.ScriptRunner(script), (0, *args), **fields)

    return make
