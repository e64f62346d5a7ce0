"""Where the grid stands at each step."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.bridging import BridgedGrid, cyclic, golden, halfway, moves_until, period, uniform_random
from lib_instantas.edges import elastic
from lib_instantas.methods import Recurring, Request, make_method
from lib_instantas.settings import EDGES, parse_settings
from lib_instantas.tiling import Axis, TilePlan, native_axis


def grid(canvas: tuple[int, int] = (64, 256), seed: int = 0, **settings: object):
    return make_method(Request(canvas, 64, parse_settings(settings), seed))


@pytest.mark.parametrize(("gamma", "moves"), [(0.015, 200), (0.125, 8), (0.25, 4), (0.5, 2), (1.0, 1)])
def test_periods_are_those_of_the_papers_figure_7(gamma: float, moves: int) -> None:
    assert period(gamma) == moves


@pytest.mark.parametrize("gamma", [0.015, 0.125, 0.25, 0.5, 1.0])
def test_the_grid_repeats_after_its_period_and_not_before(gamma: float) -> None:
    places = [cyclic(gamma, ("ring", "ring"), moves, 0) for moves in range(2 * period(gamma))]
    assert places[: period(gamma)] == places[period(gamma) :]
    assert len(set(places)) == period(gamma)


def test_the_papers_gamma_is_not_rounded_away() -> None:
    method = grid(schedule="cyclic", gamma=0.015, edges="ring", movement="together")
    travelled = [method.offset(evaluation)[1] for evaluation in range(67)]
    assert travelled == [round(0.96 * moves) % 64 for moves in range(67)]
    assert travelled[66] == 63


def test_axes_take_turns() -> None:
    method = grid((256, 256), schedule="cyclic", gamma=0.25, edges="ring")
    assert [method.offset(evaluation) for evaluation in range(5)] == [(0, 0), (0, 16), (16, 16), (16, 32), (32, 32)]


def test_an_axis_that_is_tiled_alone_moves_at_every_evaluation() -> None:
    method = grid((64, 256), schedule="cyclic", gamma=0.25, edges="ring")
    assert [method.offset(evaluation) for evaluation in range(5)] == [(0, 0), (0, 16), (0, 32), (0, 48), (0, 0)]


def test_a_grid_that_is_held_moves_between_the_samplers_steps_only() -> None:
    settings = {"schedule": "cyclic", "gamma": 0.25, "edges": "ring"}

    def places(hold: bool, per_step: int) -> list[tuple[int, int]]:
        request = Request((256, 256), 64, parse_settings({**settings, "hold": hold}), steps=9, per_step=per_step)
        return [make_method(request).offset(evaluation) for evaluation in range(9)]

    moving = places(hold=False, per_step=2)
    assert places(hold=True, per_step=1) == moving
    assert places(hold=True, per_step=2) == [moving[evaluation // 2] for evaluation in range(9)]


def test_a_held_grid_gives_the_last_evaluations_the_same_context() -> None:
    def seen(hold: bool) -> list[int]:
        request = Request((64, 256), 64, parse_settings({"hold": hold, "fit": "fitted"}), steps=39, per_step=2)
        method = make_method(request)
        return [evaluation for evaluation in range(39) if method.context.first <= evaluation]

    assert seen(hold=True) == seen(hold=False)


@given(st.integers(0, 1000))
def test_alternating_axes_share_the_moves(evaluation: int) -> None:
    vertical, horizontal = moves_until(evaluation, "alternate")
    assert vertical + horizontal == evaluation
    assert 0 <= horizontal - vertical <= 1


@given(st.sampled_from(EDGES), st.sampled_from(["cyclic", "golden", "random"]), st.integers(0, 99))
def test_an_axis_with_a_single_tile_never_moves(edges: str, schedule: str, evaluation: int) -> None:
    method = grid(edges=edges, schedule=schedule)
    rows = {(tile.y.keep.start, tile.y.keep.stop) for tile in method.plan(evaluation).tiles}
    assert rows == {(0, 64)}
    assert method.plan(evaluation).shift[0] == 0


@given(st.integers(0, 99))
def test_only_a_closed_axis_wraps(evaluation: int) -> None:
    assert grid((200, 300), edges="clamp").plan(evaluation).shift == (0, 0)
    assert grid((200, 300), edges="elastic").plan(evaluation).shift == (0, 0)


@given(st.integers(0, 99), st.integers(65, 400))
def test_elastic_and_ring_add_no_tile(evaluation: int, width: int) -> None:
    for edges in ("elastic", "ring", "sway"):
        method = grid((64, width), edges=edges)
        assert len(method.plan(evaluation).tiles) == len(method.plan(0).tiles)


def test_clamp_adds_one_tile_off_the_origin() -> None:
    method = grid(edges="clamp", movement="together")
    assert [len(method.plan(evaluation).tiles) for evaluation in range(3)] == [4, 5, 5]


@given(
    st.sampled_from(["clamp", "ring", "clamp/ring"]),
    st.sampled_from(["cyclic", "golden", "random"]),
    st.tuples(st.integers(64, 400), st.integers(64, 400)),
    st.integers(0, 19),
)
def test_native_tiles_are_all_of_the_models_size(
    edges: str, schedule: str, canvas: tuple[int, int], evaluation: int
) -> None:
    plan = grid(canvas, fit="native", edges=edges, schedule=schedule).plan(evaluation)
    assert {tile.size for tile in plan.tiles} == {(64, 64)}


@given(st.sampled_from(["cyclic", "golden", "random"]), st.integers(65, 400), st.integers(0, 19))
def test_elastic_edges_stretch_a_native_tile_at_the_border_by_up_to_a_quarter(
    schedule: str, width: int, evaluation: int
) -> None:
    plan = grid((64, width), fit="native", edges="elastic", schedule=schedule).plan(evaluation)
    sides = [len(tile.x.window) for tile in plan.tiles]
    assert set(sides[1:-1]) <= {64}
    assert sorted(sides)[:-1] == [64] * (len(sides) - 1)
    assert max(sides) <= 80


@pytest.mark.parametrize(("edges", "room"), [("ring", 64), ("clamp", 64), ("elastic", 32), ("sway", 32)])
@pytest.mark.parametrize("fit", ["native", "fitted"])
@given(st.integers(0, 200), st.integers(0, 40))
def test_gamma_is_the_share_of_a_tile_that_a_cyclic_grid_moves_at_a_time(
    edges: str, room: int, fit: str, thousandths: int, evaluation: int
) -> None:
    """Measured at the tiles themselves: where their borders stand, in a room at whose end they begin anew."""
    gamma = 0.005 * thousandths
    method = grid((64, 256), fit=fit, edges=edges, schedule="cyclic", gamma=gamma)
    plan = method.plan(evaluation)
    inner = next(tile.x.keep.start for tile in plan.tiles if tile.x.keep.start > 0)
    wanted = Fraction(thousandths, 200) * 64 * evaluation
    off = (inner + plan.shift[1] - wanted) % room
    assert min(off, room - off) <= Fraction(1, 2)


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("gamma", [0.125, 0.2])
def test_a_cyclic_grid_moves_as_far_on_all_edges(edges: str, gamma: float) -> None:
    method = grid((320, 320), fit="native", edges=edges, schedule="cyclic", gamma=gamma, movement="together")
    assert method.offset(0) == (0, 0)
    assert method.offset(1) == (round(gamma * 64), round(gamma * 64))


@pytest.mark.parametrize(("edges", "still"), [("elastic", {0, 0.5, 1}), ("sway", {0, 0.5, 1}), ("ring", {0, 1})])
def test_a_grid_that_moves_by_all_of_its_room_stands_still(edges: str, still: set[float]) -> None:
    def places(gamma: float) -> set[int]:
        method = grid(edges=edges, fit="native", schedule="cyclic", gamma=gamma)
        return {method.offset(evaluation)[1] for evaluation in range(9)}

    assert {gamma for gamma in (0, 0.25, 0.5, 0.75, 1) if len(places(gamma)) == 1} == still


@given(st.floats(0, 1, exclude_max=True))
def test_elastic_lines_stay_within_a_quarter_of_a_tile(position: float) -> None:
    moved = elastic(native_axis(256, 64), position)
    lines = [segment.keep.start for segment in moved.segments[1:]]
    assert all(abs(line - place) <= 16 for line, place in zip(lines, (64, 128, 192), strict=True))
    assert [len(segment.keep) for segment in moved.segments[1:-1]] == [64, 64]


def test_golden_places_are_spread_more_evenly_than_chance_allows() -> None:
    """Of any 13 consecutive places on a circle, no gap is wider than twice the even one."""
    for first in range(50):
        places = sorted(golden(moves, 0) for moves in range(first, first + 13))
        gaps = [b - a for a, b in zip(places, [*places[1:], places[0] + 1], strict=True)]
        assert max(gaps) < 2 / 13


def test_random_places_come_from_the_seed_alone() -> None:
    assert [uniform_random(7, m, 0) for m in range(9)] == [uniform_random(7, m, 0) for m in range(9)]
    assert uniform_random(7, 3, 0) != uniform_random(8, 3, 0)
    assert uniform_random(7, 3, 0) != uniform_random(7, 3, 1)
    first, again, other = (grid(schedule="random", seed=seed) for seed in (1, 1, 2))
    assert [first.plan(s) for s in range(20)] == [again.plan(s) for s in range(20)]
    assert [first.plan(s) for s in range(20)] != [other.plan(s) for s in range(20)]


@pytest.mark.parametrize("fit", ["uniform", "fitted"])
@pytest.mark.parametrize("edges", EDGES)
def test_the_last_evaluations_see_a_little_more_than_they_keep(edges: str, fit: str) -> None:
    method = make_method(Request((64, 256), 64, parse_settings({"edges": edges, "fit": fit}), steps=20))
    for evaluation in (18, 19, 25):
        plan = method.plan(evaluation)
        for tile in plan.tiles:
            left, right = tile.x.keep.start - tile.x.window.start, tile.x.window.stop - tile.x.keep.stop
            closed = edges in ("ring", "sway")
            assert left >= 4 or (tile.x.keep.start == 0 and not closed)
            assert right >= 4 or (tile.x.keep.stop == 256 and not closed)
            assert len(tile.x.window) % 8 == 0
            assert len(tile.y.window) == 64
    before, after = (sum(len(tile.x.window) for tile in method.plan(s).tiles) for s in (17, 18))
    assert after > before


def lines(plan: TilePlan) -> list[int]:
    return sorted((tile.x.keep.start + plan.shift[1]) % plan.canvas[1] for tile in plan.tiles)


@given(st.integers(0, 99), st.sampled_from(["uniform", "fitted", "fixed", "native"]))
def test_swaying_lines_stay_within_a_quarter_of_a_tile_around_the_border_too(evaluation: int, fit: str) -> None:
    method = grid(edges="sway", fit=fit)
    plan, count = method.plan(evaluation), len(method.plan(0).tiles)
    assert plan.closed == (False, True)
    places = [round(i * 256 / count) for i in range(count)]
    travelled = [min((line - place) % 256, (place - line) % 256) for line in lines(plan) for place in places]
    assert sorted(travelled)[count - 1] <= 256 / count / 4 + 1


def test_a_swaying_grid_goes_both_ways() -> None:
    offsets = [grid(edges="sway").offset(evaluation)[1] for evaluation in range(20)]
    assert min(offsets) < -8
    assert max(offsets) > 8
    assert offsets[0] == 0


@pytest.mark.parametrize(("steps", "wider"), [(1, 1), (4, 4), (6, 6), (8, 8), (9, 2), (20, 2), (50, 5)])
def test_every_evaluation_of_a_short_run_counts_as_one_of_the_last(steps: int, wider: int) -> None:
    method = make_method(Request((64, 256), 64, parse_settings({}), steps=steps))
    widths = [method.plan(evaluation).tiles[0].size[1] for evaluation in range(steps)]
    assert widths == [64] * (steps - wider) + [72] * wider


@pytest.mark.parametrize(
    ("steps", "fit", "fading"),
    [(1, "uniform", 1), (8, "uniform", 8), (8, "fixed", 8), (9, "uniform", 0), (8, "fitted", 0), (8, "native", 0)],
)
def test_only_tiles_of_a_short_run_fade_into_each_other(steps: int, fit: str, fading: int) -> None:
    method = make_method(Request((128, 256), 64, parse_settings({"fit": fit}), steps=steps))
    assert isinstance(method, Recurring)
    plans = [method.plan(evaluation) for evaluation in range(steps)]
    assert [plan.is_exact for plan in plans] == [False] * fading + [True] * (steps - fading)
    assert method.plans == tuple(plans[:fading])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 20, 50])
def test_the_first_evaluations_and_the_papers_tiles_have_no_context(steps: int) -> None:
    fitted, native = (
        make_method(Request((64, 256), 64, parse_settings({"fit": fit, "schedule": "cyclic", "gamma": 0}), steps=steps))
        for fit in ("fitted", "native")
    )
    assert {native.plan(evaluation) for evaluation in range(steps)} == {native.plan(0)}
    wider = [fitted.plan(evaluation) != fitted.plan(0) for evaluation in range(steps)]
    assert wider == sorted(wider)
    assert sum(wider) == {1: 0, 2: 1, 3: 1, 4: 2, 20: 2, 50: 5}[steps]


def test_each_axis_can_have_its_own_edges() -> None:
    plan = grid((200, 300), edges="elastic/ring", movement="together").plan(1)
    assert plan.shift[0] == 0
    assert plan.shift[1] != 0


def test_golden_places_are_multiples_of_the_golden_ratio() -> None:
    ratio = 0.618033988749895
    assert [golden(moves, 0) for moves in range(4)] == pytest.approx([0, ratio, 2 * ratio - 1, 3 * ratio - 1])


@pytest.mark.parametrize("movement", ["alternate", "together"])
def test_moves_are_counted_per_axis(movement: str) -> None:
    expected = {"alternate": [(0, 0), (0, 1), (1, 1), (1, 2)], "together": [(0, 0), (1, 1), (2, 2), (3, 3)]}[movement]
    assert [moves_until(moves, movement) for moves in range(4)] == expected


def test_the_first_random_place_is_the_origin() -> None:
    assert [uniform_random(seed, 0, axis) for seed in range(3) for axis in (0, 1)] == [0.0] * 6
    assert all(0 < uniform_random(seed, 1, axis) < 1 for seed in range(3) for axis in (0, 1))


@pytest.mark.parametrize("axes", [(True, False), (False, True), (True, True)])
def test_a_grid_that_stands_still_halfway_does_so_on_the_axes_it_is_told(axes: tuple[bool, bool]) -> None:
    position = halfway(axes)
    assert [position(moves, axis) for axis in (0, 1) for moves in (0, 3)] == [0.5 * axes[0]] * 2 + [0.5 * axes[1]] * 2


def test_a_grid_told_nothing_more_takes_turns_without_context_wrap_or_hold() -> None:
    axes = (Axis((0, 64, 128), 64), Axis((0, 64, 128), 64))
    bare = BridgedGrid(axes, lambda moves, axis: moves / 8, ("ring", "ring"))
    assert [bare.offset(evaluation) for evaluation in range(4)] == [(0, 0), (0, 8), (8, 8), (8, 16)]
    assert {tile.size for tile in bare.plan(0).tiles} == {(64, 64)}
    single = BridgedGrid((Axis((0, 64), 64), axes[1]), bare.position, ("ring", "ring"))
    assert [single.offset(evaluation) for evaluation in range(3)] == [(0, 0), (0, 8), (0, 16)]
    assert single.plan(1).closed == (False, True)


def test_a_closed_axis_of_one_tile_moves_and_takes_its_turn() -> None:
    axes = (Axis((0, 64), 64), Axis((0, 64, 128), 64))
    closed = BridgedGrid(axes, lambda moves, axis: moves / 8, ("ring", "ring"), wraps=(True, False))
    assert [closed.offset(evaluation) for evaluation in range(4)] == [(0, 0), (0, 8), (8, 8), (8, 16)]
    assert closed.plan(2).closed == (True, True)
    assert closed.canvas == (64, 128)
    with pytest.raises(AttributeError, match="cannot assign"):
        closed.hold = 2  # type: ignore[misc]
