"""The methods: where their tiles stand, what weighs how much, what they leave out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.fusion import assemble, cut
from lib_instantas.methods import NAMES, Direct, Request, make_method
from lib_instantas.methods.fstd import displaced, fixed_offset
from lib_instantas.methods.overlapping import gaussian, guided, overlapping_segments, stride_of, uniform
from lib_instantas.settings import parse_settings
from lib_instantas.summary import summarise
from lib_instantas.tiling import axes

WEIGHTED = ("MultiDiffusion", "Mixture of Diffusers", "Guided Fusion")
sides = st.sampled_from([8, 16, 24, 32, 64, 96, 128])
lengths = st.integers(8, 400)


def method(name: str, canvas: tuple[int, int], native: int = 16, seed: int = 0, **values: Any):
    return make_method(Request(canvas, native, parse_settings({"method": name, **values}), seed))


@pytest.mark.parametrize("weights", [uniform, gaussian, guided])
@given(size=st.tuples(sides, sides))
def test_weights_are_positive_and_the_same_seen_from_every_side(weights: Any, size: tuple[int, int]) -> None:
    map_ = weights(size)
    assert map_.shape == size
    assert (map_ > 0).all()
    torch.testing.assert_close(map_, map_.flip(0))
    torch.testing.assert_close(map_, map_.flip(1))
    torch.testing.assert_close(map_, weights(size[::-1]).T)


@given(size=st.tuples(sides, sides))
def test_guided_weights_fall_in_a_straight_line_from_the_centre_to_the_corner(size: tuple[int, int]) -> None:
    diagonal = torch.linspace(-1, 1, 2 * min(size) + 1)[1::2].abs()  # distance of square pixels' centres, corner = 1
    square = guided((min(size), min(size)))
    torch.testing.assert_close(square.diagonal(), 1 - diagonal, atol=1e-5, rtol=0)
    assert guided(size).amax() <= 1


@given(lengths, sides, st.floats(0, 0.95))
def test_overlapping_tiles_reach_from_border_to_border_at_the_stride_at_most(
    length: int, side: int, overlap: float
) -> None:
    stride = stride_of(side, overlap)
    windows = [segment.window for segment in overlapping_segments(length, side, stride)]
    if length <= side:
        assert len(windows) == 1
        return
    assert windows[0].start == 0
    assert windows[-1].stop == length
    assert all(len(window) == side for window in windows)
    assert all(0 < b.start - a.start <= stride for a, b in pairwise(windows))


@pytest.mark.parametrize(
    ("overlap", "tiles"),
    [(0.0, 4), (0.5, 7), (0.75, 13), (0.875, 25)],
)
def test_the_panorama_of_the_papers_takes_as_many_tiles_as_their_strides_say(overlap: float, tiles: int) -> None:
    plan = method("MultiDiffusion", (64, 256), 64, overlap=overlap).plan(0)
    assert len(plan.tiles) == tiles


def test_the_supplied_stride_of_gvcf_gives_its_number_of_patches() -> None:
    """512 x 3584 pixels: 25 patches at stride 128, 9 at stride 384 (GVCF, "The Effectiveness of Guided Fusion")."""
    assert len(method("Guided Fusion", (64, 448), 64, overlap=0.75).plan(0).tiles) == 25
    assert len(method("Guided Fusion", (64, 448), 64, overlap=0.25).plan(0).tiles) == 9


@given(st.sampled_from(NAMES), st.integers(4, 100), st.integers(4, 100))
def test_an_axis_that_fits_one_tile_is_not_tiled(name: str, short: int, long: int) -> None:
    for canvas, axis in (((min(short, 16), long), 0), ((long, min(short, 16)), 1)):
        for evaluation in (0, 1, 7):
            tiles = method(name, canvas).plan(evaluation).tiles
            kept = {tile.y.keep if axis == 0 else tile.x.keep for tile in tiles}
            assert len(kept) == 1
            assert len(kept.pop()) == canvas[axis]


@pytest.mark.parametrize("name", NAMES)
def test_a_canvas_that_fits_one_tile_is_left_to_the_model(name: str) -> None:
    assert method(name, (16, 12)) == Direct((16, 12))


@given(st.sampled_from(NAMES), st.tuples(lengths, lengths), st.sampled_from([32, 64, 96]), st.integers(0, 9))
def test_the_first_plan_of_every_method_covers_the_canvas(
    name: str, canvas: tuple[int, int], native: int, seed: int
) -> None:
    plan = method(name, canvas, native, seed).plan(0)
    assert plan.uncovered == 0
    x = torch.randn(1, 2, *canvas)
    back = assemble(plan, [(tile, cut(x, plan, tile)) for tile in plan.tiles])
    torch.testing.assert_close(back, x, rtol=1e-5, atol=1e-5)


def test_the_weighted_mean_of_two_tiles_is_equation_8() -> None:
    plan = method("Guided Fusion", (16, 24), overlap=0.5).plan(0)
    left, right = plan.tiles
    fused = assemble(plan, [(left, torch.ones(1, 1, 16, 16)), (right, torch.full((1, 1, 16, 16), 3.0))])
    w1, w2 = guided((16, 16))[:, 8:], guided((16, 16))[:, :8]
    torch.testing.assert_close(fused[0, 0, :, 8:16], (w1 + 3 * w2) / (w1 + w2))
    assert (fused[..., :8] == 1).all()
    torch.testing.assert_close(fused[..., 16:], torch.full((1, 1, 16, 8), 3.0))


# FSTD


@given(lengths, sides, st.floats(-0.5, 0.5), st.sampled_from(["native", "fitted"]))
def test_a_displaced_grid_leaves_out_at_one_border_at_most_what_it_moved(
    length: int, side: int, share: float, fit: str
) -> None:
    axis, offset = axes((8, length), side, fit)[1], round(share * side)
    if axis.count == 1:
        return
    kept = [position for s in displaced(axis, offset) for position in range(s.keep.start, s.keep.stop)]
    assert kept == list(range(kept[0], kept[-1] + 1)), "tiles lie side by side"
    if offset >= 0:
        assert kept == list(range(offset, length)), "moved on, it leaves out just that much at the start"
    else:
        assert kept[0] == 0
        assert length - len(kept) <= -offset
    assert len(displaced(axis, offset)) <= axis.count, "no tile is added"


def test_nothing_wraps_and_windows_stay_on_the_canvas() -> None:
    fstd = method("FSTD", (40, 90))
    for evaluation in range(30):
        plan = fstd.plan(evaluation)
        assert plan.shift == (0, 0)
        for tile in plan.tiles:
            assert 0 <= tile.y.window.start <= tile.y.keep.start < tile.y.keep.stop <= tile.y.window.stop <= 40
            assert 0 <= tile.x.window.start <= tile.x.keep.start < tile.x.keep.stop <= tile.x.window.stop <= 90


def test_offsets_follow_the_seed_and_change_at_each_evaluation() -> None:
    def plans(seed: int) -> list[Any]:
        fstd = method("FSTD", (16, 96), seed=seed)
        return [fstd.plan(evaluation).tiles for evaluation in range(8)]

    assert plans(3) == plans(3) != plans(4)
    assert len(set(plans(3))) > 4


def test_a_pixel_without_a_tile_keeps_its_last_prediction() -> None:
    canvas, steps = (16, 64), 12
    fstd = method("FSTD", canvas, seed=5)
    step = 0.0
    denoiser = TiledDenoiser(lambda x, sigma: torch.full_like(x, step), fstd)
    expected = torch.zeros(1, 4, *canvas)
    for evaluation in range(steps):
        step = float(evaluation)
        prediction = denoiser(torch.zeros(1, 4, *canvas), torch.zeros(1))
        for tile in fstd.plan(evaluation).tiles:
            expected[..., tile.y.keep.start : tile.y.keep.stop, tile.x.keep.start : tile.x.keep.stop] = step
        assert torch.equal(prediction, expected)
        denoiser.next_evaluation()
    assert len(expected.unique()) > 1, "something was left out at the end"


def test_conditional_and_unconditional_calls_keep_their_own_last_prediction() -> None:
    canvas = (16, 64)
    denoiser = TiledDenoiser(lambda x, sigma: x, method("FSTD", canvas, seed=5))
    for evaluation in range(12):
        for value in (1.0, -1.0):
            assert (denoiser(torch.full((1, 4, *canvas), value), torch.zeros(1)) == value).all(), evaluation
        denoiser.next_evaluation()


def test_when_the_number_of_rows_changes_nothing_is_left_at_zero() -> None:
    """A sampler that skips the unconditional pass for a while asks with fewer rows."""
    canvas = (16, 64)
    denoiser = TiledDenoiser(lambda x, sigma: x, method("FSTD", canvas, seed=5))
    for rows in (2, 2, 1, 1, 2, 2):
        assert (denoiser(torch.ones(rows, 4, *canvas), torch.zeros(rows)) == 1).all()
        denoiser.next_evaluation()


def test_a_prediction_handed_out_is_not_changed_by_the_next_evaluation() -> None:
    """Multistep samplers keep their model's last answers."""
    denoiser = TiledDenoiser(lambda x, sigma: x, method("FSTD", (16, 64), seed=5))
    first = denoiser(torch.ones(1, 4, 16, 64), torch.zeros(1))
    denoiser.next_evaluation()
    denoiser(torch.zeros(1, 4, 16, 64), torch.zeros(1))
    assert (first == 1).all()


def test_the_share_left_out_is_said() -> None:
    request = Request((16, 64), 16, parse_settings({"method": "FSTD"}), seed=5, steps=40)
    left_out = []
    for evaluation in range(40):
        covered = torch.zeros(64)
        for tile in make_method(request).plan(evaluation).tiles:
            covered[tile.x.keep.start : tile.x.keep.stop] = 1
        left_out.append(1 - float(covered.mean()))
    expected = sum(left_out) / 40
    summary = summarise(request)
    assert summary.uncovered == pytest.approx(expected)
    assert f"{expected:.1%} uncovered" in str(summary)
    assert 0.03 < expected < 0.09, "offsets up to half of a tile out of four leave out a sixteenth on average"


def test_methods_that_cover_everything_say_nothing_of_it() -> None:
    assert "uncovered" not in str(summarise(Request((16, 64), 16, parse_settings({"method": "InstantAS"}))))


def test_the_fixed_offset_is_half_a_tile_at_every_second_evaluation() -> None:
    assert [fixed_offset(evaluation, 1) for evaluation in range(4)] == [0, 0.5, 0, 0.5]
