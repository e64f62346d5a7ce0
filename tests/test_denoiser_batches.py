"""How many tiles the denoiser asks about at once, and what it does when memory is short."""

from __future__ import annotations

import pytest
import torch
from denoising import CANVAS, method, pointwise

from lib_instantas.denoiser import TiledDenoiser, is_out_of_memory
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings


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


@pytest.mark.parametrize(
    ("tiles", "tile_batch", "calls"),
    [(8, 8, [8]), (8, 5, [4, 4]), (8, 3, [3, 3, 2]), (9, 4, [3, 3, 3]), (5, 4, [3, 2]), (3, 1, [1, 1, 1])],
)
def test_tiles_are_shared_out_to_as_few_calls_as_can_be_and_evenly(
    tiles: int, tile_batch: int, calls: list[int]
) -> None:
    moving = method((16, 16 * tiles), fit="native", edges="ring")
    denoiser = TiledDenoiser(pointwise, moving, tile_batch=tile_batch)
    plan = moving.plan(0)
    assert [len(call) for call in denoiser.calls(plan, torch.zeros(1, 4, *plan.canvas))] == calls


@pytest.mark.parametrize(
    ("device", "rows", "side", "tiles"),
    [("meta", 2, 64, 4), ("meta", 1, 64, 8), ("meta", 2, 96, 1), ("meta", 16, 128, 1), ("cpu", 2, 64, 1)],
)
def test_a_card_is_asked_about_more_tiles_at_once_than_a_processor(
    device: str, rows: int, side: int, tiles: int
) -> None:
    """Up to the work of eight tiles of 512 pixels without guidance; on a processor of two."""
    moving = make_method(Request((side, 8 * side), side, parse_settings({})))
    x = torch.empty(rows, 4, side, 8 * side, device=device)
    calls = TiledDenoiser(pointwise, moving).calls(moving.plan(0), x)
    assert [len(call) for call in calls] == [tiles] * (8 // tiles)


def test_after_a_halved_batch_none_is_larger_whatever_the_setting(caplog: pytest.LogCaptureFixture) -> None:
    sizes = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        sizes.append(x.shape[0])
        if x.shape[0] > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return x

    denoiser = TiledDenoiser(model, method((16, 112), fit="native", edges="ring"), tile_batch=7)
    for _ in range(2):
        denoiser(torch.zeros(1, 4, 16, 112), torch.zeros(1))
    assert sizes == [7, 3, 3, 1, 3, 3, 1]
    assert caplog.messages == ["InstantAS: out of memory with 7 tiles at once, going on with half of them"]
