"""What holds for the plans of every method in the register, whatever its settings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_instantas.methods import METHODS, NAMES, Request, make_method, plans_depend_on_seed
from lib_instantas.settings import EDGE_PAIRS, EDGES, parse_settings
from lib_instantas.tiling import TilePlan

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "schedule": st.sampled_from(["golden", "cyclic", "random"]),
    "gamma": st.sampled_from([0.0, 0.015, 0.125, 0.5, 1.0]),
    "edges": st.sampled_from([*EDGES, *EDGE_PAIRS]),
    "movement": st.sampled_from(["alternate", "together"]),
    "fit": st.sampled_from(["uniform", "fitted", "native", "fixed"]),
    "wrap": st.sampled_from(["off", "horizontal", "vertical", "both"]),
    "hold": st.booleans(),
    "overlap": st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    "tile": st.sampled_from([0, 256, 512]),
    "dilation": st.sampled_from([0.0, 1.0, 2.5]),
    "dilated_levels": st.integers(0, 3),
    "tile_batch": st.integers(0, 4),
}
"""Settings that plans may depend on; each method is given those that it reads."""


def requests(name: str) -> st.SearchStrategy[Request]:
    """Any picture, model and settings that the method takes."""
    read = {key: values for key, values in VALUES.items() if key in METHODS[name].settings}
    chosen = st.fixed_dictionaries({"method": st.just(name)}, optional=read)
    return st.builds(
        Request,
        canvas=st.tuples(st.integers(4, 130), st.integers(4, 130)),
        native=st.sampled_from([32, 64, 96]),
        settings=chosen.map(parse_settings),
        seed=st.integers(0, 9),
        steps=st.integers(1, 9),
        per_step=st.integers(1, 2),
    )


def plans(request: Request) -> list[TilePlan]:
    """All plans of a run."""
    method = make_method(request)
    return [method.plan(evaluation) for evaluation in range(request.steps)]


def covered(plan: TilePlan) -> torch.Tensor:
    """How many tiles give each pixel of the picture its value, [H, W]."""
    count = torch.zeros(plan.canvas, dtype=torch.int)
    for tile in plan.tiles:
        rows, columns = torch.tensor(positions(tile.y, plan, 0)), torch.tensor(positions(tile.x, plan, 1))
        count[rows[:, None], columns] += 1
    return count


def positions(segment: Any, plan: TilePlan, axis: int) -> list[int]:
    """The pixels of the picture that a segment counts for on one axis: what it keeps, or all that a mean takes."""
    span = segment.keep if plan.is_exact else segment.window
    length, shift = plan.canvas[axis], plan.shift[axis]
    places = range(span.start, span.stop)
    if not plan.closed[axis]:
        return [place + shift for place in places if place < length]
    return sorted({(place + shift) % length for place in places})


def test_all_settings_that_some_plan_reads_are_tried() -> None:
    """A setting that a new method reads is to be tried here too, unless its plans cannot depend on it."""
    read = {setting for declaration in METHODS.values() for setting in declaration.settings}
    everywhere = {"method", "style_alignment", "style_reference"}
    assert read - everywhere <= set(VALUES)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_weights_are_positive(name: str, data: st.DataObject) -> None:
    for plan in plans(data.draw(requests(name))):
        if plan.weights is not None:
            for size in {tile.size for tile in plan.tiles}:
                weights = plan.weights(size)
                assert weights.shape == size
                assert (weights > 0).all()
        if plan.portions is not None:
            for tile in plan.tiles:
                assert plan.portions(tile).shape == tile.size
                assert (plan.portions(tile) >= 0).all()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50)
@given(data=st.data())
def test_every_pixel_has_a_tile_or_had_one_before(name: str, data: st.DataObject) -> None:
    for evaluation, plan in enumerate(plans(data.draw(requests(name)))):
        count = covered(plan)
        if plan.is_exact:
            assert count.max() == 1, "no pixel is kept twice"
        assert plan.uncovered == pytest.approx(float((count == 0).float().mean()), abs=1e-6)
        assert evaluation or count.min() >= 1, "the first plan covers the whole canvas"


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_evaluation_has_one_plan_whenever_and_however_often_it_is_asked_for(name: str, data: st.DataObject) -> None:
    request = data.draw(requests(name))
    method, in_order = make_method(request), plans(request)
    for evaluation in data.draw(st.permutations(range(request.steps))):
        assert method.plan(evaluation) == method.plan(evaluation) == in_order[evaluation]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_only_methods_that_say_so_follow_the_seed(name: str, data: st.DataObject) -> None:
    request = data.draw(requests(name))
    if not plans_depend_on_seed(request.settings):
        other = Request(**{**vars(request), "seed": request.seed + 1})
        assert plans(other) == plans(request)
