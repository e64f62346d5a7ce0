"""The example in docs/methods.md is a method: this runs it as it is printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import METHODS, NAMES, Direct, Method, Request, make_method
from lib_instantas.settings import parse_settings

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "methods.md"
EXAMPLE = "Two Columns"


@pytest.fixture
def example() -> Iterator[None]:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, str(DOCUMENT), "exec", dont_inherit=True), {"__name__": "example"})
    yield
    del METHODS[EXAMPLE]
    NAMES.remove(EXAMPLE)


def method(canvas: tuple[int, int]) -> Method:
    return make_method(Request(canvas, 32, parse_settings({"method": EXAMPLE})))


@pytest.mark.usefixtures("example")
def test_the_example_is_a_method_that_settings_accept_and_the_engine_runs() -> None:
    x = torch.randn(1, 4, 24, 56)
    tiled = TiledDenoiser(lambda tile, sigma: tile * 2, method((24, 56)))
    torch.testing.assert_close(tiled(x, torch.zeros(1)), x * 2)


@pytest.mark.usefixtures("example")
def test_its_middle_strip_fades_from_the_left_tile_to_the_right_one() -> None:
    def model(tile: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return torch.full_like(tile, float(tile[0, 0, 0, 0]))

    x = torch.zeros(1, 4, 24, 56)
    x[..., 24] = 1  # where the right tile begins
    row = TiledDenoiser(model, method((24, 56)), tile_batch=1)(x, torch.zeros(1))[0, 0, 0]
    assert (row[:24] == 0).all()
    assert (row[32:] == 1).all()
    assert (row[24:32].diff() > 0).all()


@pytest.mark.usefixtures("example")
def test_it_leaves_what_it_cannot_do_to_the_model() -> None:
    assert method((24, 300)) == Direct((24, 300))


def test_every_method_of_this_program_is_described() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in NAMES)
