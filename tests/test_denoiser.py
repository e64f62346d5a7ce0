"""The tiled denoiser: same shapes in and out, whatever the sampler, the conditioning and the memory do."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.denoiser import ModelCall, TiledDenoiser, is_out_of_memory, map_tensors
from lib_instantas.fusion import cut
from lib_instantas.methods import Direct, Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.sharing import Kind, Sharing

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


def test_parts_are_told_which_evaluation_it_is() -> None:
    told = []

    @contextmanager
    def part(call: ModelCall):
        told.append(call.evaluation)
        yield

    denoiser = TiledDenoiser(pointwise, method((16, 32)), tile_batch=2, parts=[part])
    for _ in range(3):
        denoiser(torch.zeros(1, 4, 16, 32), torch.zeros(1))
        denoiser.next_evaluation()
    assert told == [0, 1, 2]
    call = ModelCall(method().plan(0), (), 1)
    assert call.evaluation == 0
    with pytest.raises(AttributeError, match="cannot assign"):
        call.rows = 2  # type: ignore[misc]


def test_only_what_lies_on_the_canvas_as_pictures_do_is_cut() -> None:
    """A mask [B, H, W] and one value for all rows are none; a batch of another size is given on as it is."""
    seen = {}

    def model(x: torch.Tensor, sigma: torch.Tensor, **conditioning: Any) -> torch.Tensor:
        seen.update(conditioning, sigma=sigma)
        return x

    given = {
        "picture": torch.randn(2, 5, 16, 64),
        "video": torch.randn(2, 3, 5, 16, 64),
        "per_row": torch.randn(2, 16, 64),
        "of_others": torch.randn(3, 7),
        "value": torch.tensor(0.5),
    }
    denoiser = TiledDenoiser(model, method((16, 64)), tile_batch=4)
    denoiser(torch.zeros(2, 4, 16, 64), torch.tensor(2.0), **given)
    assert {name: tuple(value.shape) for name, value in seen.items()} == {
        "picture": (8, 5, 16, 16),
        "video": (8, 3, 5, 16, 16),
        "per_row": (8, 16, 64),
        "of_others": (3, 7),
        "value": (),
        "sigma": (),
    }
    assert torch.equal(seen["per_row"], given["per_row"].repeat(4, 1, 1))
    assert seen["of_others"] is given["of_others"]


def test_a_nest_keeps_its_form() -> None:
    one = torch.ones(1)
    nest = {"list": [one, "text", (one, None)], "tuple": (one, {"deep": one}), "number": 3}
    doubled = map_tensors(lambda tensor: tensor * 2, nest)
    assert doubled == {"list": [2, "text", (2, None)], "tuple": (2, {"deep": 2}), "number": 3}
    assert type(doubled["list"][2]) is type(doubled["tuple"]) is tuple


@pytest.mark.parametrize("evaluations", [2, 3])
def test_a_call_more_than_in_the_evaluation_before_is_asked_about_the_whole_canvas(evaluations: int) -> None:
    """What no tile covers has no last prediction in a call that was not made before."""
    canvas = (16, 64)
    fstd = method(canvas, method="FSTD")
    sparse = next(evaluation for evaluation in range(1, 40) if fstd.plan(evaluation).uncovered)
    denoiser = TiledDenoiser(lambda x, sigma: x, fstd)
    denoiser(torch.ones(1, 4, *canvas), torch.zeros(1))
    denoiser.next_evaluation()
    denoiser.evaluation = sparse
    for value in range(evaluations):
        answer = denoiser(torch.full((1, 4, *canvas), float(value)), torch.zeros(1))
        assert set(answer.unique().tolist()) == ({0.0, 1.0} if value == 0 else {float(value)})


@dataclass(frozen=True)
class InThreads(Sharing):
    """Processes that share tiles, as threads: what they say to each other is the same, only its way is another."""

    meeting: Any = None
    said: Any = None

    def exchange(
        self, mine: Sequence[torch.Tensor], kinds: Sequence[Sequence[Kind]], device: torch.device
    ) -> list[list[torch.Tensor]]:
        assert [Kind.of(tensor) for tensor in mine] == list(kinds[self.rank])
        self.meeting.wait(30)
        self.said[self.rank] = list(mine)
        self.meeting.wait(30)
        return [self.said[rank] for rank in range(self.size)]


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("values", [{}, {"method": "FSTD"}, {"method": "MultiDiffusion"}, {"fit": "fitted"}], ids=str)
def test_tiles_shared_among_several_make_the_same_prediction_in_each(size: int, values: dict[str, Any]) -> None:
    canvas = (16, 60)
    torch.manual_seed(0)
    pictures, asked = torch.randn(3, 2, 4, *canvas), [0] * size

    def run(sharing: Sharing) -> list[torch.Tensor]:
        def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            asked[sharing.rank] += len(x) // 2
            return x.flip(-1) * sigma[0]

        denoiser = TiledDenoiser(model, method(canvas, **values), tile_batch=2, sharing=sharing)
        answers = []
        for x in pictures:
            answers.append(denoiser(x, torch.full((2,), 0.5)))
            denoiser.next_evaluation()
        return answers

    expected, asked[0] = run(Sharing()), 0
    meeting, said, answers = threading.Barrier(size), [None] * size, {}

    def one(rank: int) -> None:
        answers[rank] = run(InThreads(rank, size, meeting, said))

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank in range(size):
        assert all(torch.equal(a, b) for a, b in zip(answers[rank], expected, strict=True)), rank
    tiles = [len(method(canvas, **values).plan(evaluation).tiles) for evaluation in range(3)]
    assert sum(asked) == sum(max(count, size) for count in tiles), "whoever has no tile makes one to know its kind"
