"""The tiled denoiser: same shapes in and out, whatever the sampler and the conditioning do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from denoising import CANVAS, method, pointwise
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.denoiser import ModelCall, TiledDenoiser, map_tensors
from lib_instantas.fusion import cut
from lib_instantas.methods import Direct
from lib_instantas.processes import Kind, Processes
from lib_instantas.tiling import Size, TilePlan


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


def test_weights_of_plans_that_come_again_are_all_made_for_the_first_evaluation() -> None:
    made: list[str] = []

    def weights(name: str) -> Callable[[Size], torch.Tensor]:
        def of(size: Size) -> torch.Tensor:
            made.append(name)
            return torch.ones(size)

        return of

    averaged = method((16, 32), method="MultiDiffusion").plan(0)

    class InTurn:
        plans = tuple(replace(averaged, weights=weights(name)) for name in ("even", "odd"))

        def plan(self, evaluation: int) -> TilePlan:
            return self.plans[evaluation % 2]

    denoiser, x = TiledDenoiser(pointwise, InTurn()), torch.randn(1, 4, 16, 32)
    for _ in range(4):
        torch.testing.assert_close(denoiser(x, torch.ones(1)), pointwise(x, torch.ones(1)))
        assert made == ["even", "odd"]
        denoiser.next_evaluation()


@dataclass(frozen=True)
class InThreads(Processes):
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

    def run(processes: Processes) -> list[torch.Tensor]:
        def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            asked[processes.rank] += len(x) // 2
            return x.flip(-1) * sigma[0]

        denoiser = TiledDenoiser(model, method(canvas, **values), tile_batch=2, processes=processes)
        answers = []
        for x in pictures:
            answers.append(denoiser(x, torch.full((2,), 0.5)))
            denoiser.next_evaluation()
        return answers

    expected, asked[0] = run(Processes()), 0
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
