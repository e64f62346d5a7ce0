"""The tiled denoiser: same shapes in and out, whatever the sampler, the conditioning and the memory do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.denoiser import ModelCall, TiledDenoiser, is_out_of_memory
from lib_instantas.fusion import cut
from lib_instantas.methods import Direct, Request, make_method
from lib_instantas.settings import parse_settings

CANVAS = (20, 50)


def method(canvas: tuple[int, int] = CANVAS, **values: Any):
    return make_method(Request(canvas, 16, parse_settings(values), seed=3))


def pointwise(x: torch.Tensor, sigma: torch.Tensor, **conditioning: Any) -> torch.Tensor:
    """A model that looks at one pixel at a time: tiled or not, it must say the same."""
    scale = 1 + sigma.reshape(-1, 1, 1, 1) if sigma.ndim else 1 + sigma
    result = x * scale
    if "tokens" in conditioning:
        result = result + conditioning["tokens"].mean((1, 2)).reshape(-1, 1, 1, 1)
    for concat in conditioning.get("c_concat", []):
        result = result + concat.mean(1, keepdim=True)
    if "vector" in conditioning.get("added", {}):
        result = result + conditioning["added"]["vector"].mean(1).reshape(-1, 1, 1, 1)
    return result


@given(
    st.sampled_from(["InstantAS", "MultiDiffusion", "Guided Fusion", "Mixture of Diffusers", "direct"]),
    st.sampled_from(["ring", "clamp", "elastic"]),
    st.tuples(st.integers(4, 70), st.integers(4, 70)),
    st.integers(0, 5),
)
def test_a_pointwise_model_is_not_changed_by_tiling(
    name: str, edges: str, canvas: tuple[int, int], tile_batch: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, *canvas, generator=generator)
    sigma = torch.rand(3, generator=generator)
    conditioning = {
        "tokens": torch.randn(3, 7, 8, generator=generator),
        "c_concat": [torch.randn(3, 5, *canvas, generator=generator)],
        "added": {"vector": torch.randn(3, 6, generator=generator)},
    }
    denoiser = TiledDenoiser(pointwise, method(canvas, method=name, edges=edges), tile_batch=tile_batch)
    for _ in range(3):
        torch.testing.assert_close(denoiser(x, sigma, **conditioning), pointwise(x, sigma, **conditioning))
        denoiser.next_evaluation()


def test_conditioning_without_a_place_is_repeated_not_cut() -> None:
    seen = []

    def model(x: torch.Tensor, sigma: torch.Tensor, c_concat: list[torch.Tensor]) -> torch.Tensor:
        seen.append((x.shape[0], tuple(c_concat[0].shape), tuple(sigma.shape)))
        return x

    denoiser = TiledDenoiser(model, method((16, 64)), tile_batch=4)
    denoiser(torch.zeros(2, 4, 16, 64), torch.zeros(2), c_concat=[torch.zeros(2, 5, 1, 1)])
    assert seen == [(8, (8, 5, 1, 1), (8,))]


def test_calls_of_one_evaluation_share_a_plan_and_the_next_moves_on() -> None:
    widths: list[list[int]] = [[]]

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        widths[-1].append(x.shape[-1])
        return x

    moving = method((16, 96), movement="together", edges="elastic", fit="fitted")
    denoiser = TiledDenoiser(model, moving, tile_batch=1)
    x = torch.zeros(1, 4, 16, 96)
    for _ in range(2):
        denoiser(x, torch.zeros(1))
        widths.append([])
    denoiser.next_evaluation()
    denoiser(x, torch.zeros(1))
    assert widths[0] == widths[1] != widths[2]


def test_a_canvas_that_fits_one_tile_is_left_to_the_model() -> None:
    assert isinstance(method((16, 13)), Direct)
    x = torch.zeros(1, 4, 16, 13)
    denoiser = TiledDenoiser(lambda given, sigma: given, method((16, 13)))
    assert denoiser(x, torch.zeros(1)) is x


@pytest.mark.parametrize("fails_above", [1, 2, 3])
def test_out_of_memory_halves_the_batch_and_goes_on(fails_above: int) -> None:
    sizes = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        sizes.append(x.shape[0])
        if x.shape[0] > fails_above:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return x * 2

    x = torch.randn(1, 4, 16, 128)
    denoiser = TiledDenoiser(model, method((16, 128)), tile_batch=8)
    assert torch.equal(denoiser(x, torch.zeros(1)), x * 2)
    tried = len(sizes)
    denoiser(x, torch.zeros(1))
    assert max(sizes[tried:]) <= fails_above, "the second evaluation remembers what fits"


def test_a_single_tile_that_does_not_fit_is_an_error() -> None:
    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        TiledDenoiser(model, method())(torch.zeros(1, 4, *CANVAS), torch.zeros(1))


def test_other_errors_pass_through_at_once() -> None:
    calls = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        TiledDenoiser(model, method(), tile_batch=4)(torch.zeros(1, 4, *CANVAS), torch.zeros(1))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
            True,
        ),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("size mismatch"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, answer: bool) -> None:
    assert is_out_of_memory(error) is answer


def test_before_batch_can_stop_between_batches() -> None:
    calls = []

    def before_batch() -> None:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)

    denoiser = TiledDenoiser(pointwise, method((16, 128)), tile_batch=1, before_batch=before_batch)
    with pytest.raises(KeyboardInterrupt):
        denoiser(torch.zeros(1, 4, 16, 128), torch.zeros(1))
    assert len(calls) == 2


def test_parts_around_a_call_know_its_tiles_and_are_left_again() -> None:
    x = torch.randn(2, 4, *CANVAS)
    open_parts: list[ModelCall] = []
    seen = []

    @contextmanager
    def part(call: ModelCall):
        open_parts.append(call)
        try:
            yield
        finally:
            open_parts.pop()

    def model(tiles: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        (call,) = open_parts
        expected = torch.cat([cut(x, call.plan, tile) for tile in call.tiles])
        seen.append(torch.equal(tiles, expected) and call.rows == 2)
        if len(seen) == 3:
            raise ValueError("in the UNet")
        return tiles

    denoiser = TiledDenoiser(model, method(), tile_batch=2, parts=[part])
    with pytest.raises(ValueError, match="in the UNet"):
        [denoiser(x, torch.zeros(2)) for _ in range(5)]
    assert seen == [True] * 3
    assert open_parts == []


@pytest.mark.parametrize(("rows", "side", "tiles"), [(2, 32, 4), (2, 64, 1), (1, 64, 2), (8, 64, 1)])
def test_on_a_cpu_as_many_tiles_go_at_once_as_were_measured_to_be_quickest(rows: int, side: int, tiles: int) -> None:
    seen = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        seen.append(x.shape[0] // rows)
        return x

    canvas = (side, 8 * side)
    moving = make_method(Request(canvas, side, parse_settings({})))
    TiledDenoiser(model, moving)(torch.zeros(rows, 4, *canvas), torch.zeros(rows))
    assert seen == [tiles] * (8 // tiles)
