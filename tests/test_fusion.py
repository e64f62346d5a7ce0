"""Cutting tiles and assembling them, compared with positions counted one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from lib_instantas.fusion import FADE, Averaging, assemble, canvas_scale, cut, faded, visible
from lib_instantas.tiling import Segment, Size, Span, Tile, TilePlan


def segment(keep: tuple[int, int], window: tuple[int, int]) -> Segment:
    return Segment(Span(*keep), Span(*window))


WHOLE = segment((0, 8), (0, 8))


def row(*windows: tuple[int, int], shift: int = 0, closed: bool = True, length: int = 24) -> TilePlan:
    """Tiles side by side on a canvas of 8 by `length`, each keeping all that it sees of the canvas."""
    kept = [(max(0, start), min(length, stop)) for start, stop in windows]
    tiles = tuple(Tile(WHOLE, segment(keep, window)) for keep, window in zip(kept, windows, strict=True))
    return TilePlan((8, length), tiles, (0, shift), closed=(False, closed))


@pytest.mark.parametrize("window", [(-1, 7), (-30, -6), (-3, 13), (0, 8), (1, 9), (16, 24), (17, 25), (20, 60)])
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("scale", [1, 8])
def test_a_window_goes_around_a_ring_and_is_mirrored_at_a_border(
    window: tuple[int, int], closed: bool, scale: int
) -> None:
    plan = row(window, closed=closed)
    canvas = torch.arange(8 * 24 * scale**2).reshape(1, 1, 8 * scale, 24 * scale)
    axis = list(range(24 * scale))
    endless = axis if closed else axis + axis[::-1]
    seen = [endless[place % len(endless)] for place in range(window[0] * scale, window[1] * scale)]
    assert torch.equal(cut(canvas, plan, plan.tiles[0]), canvas[..., seen])


@pytest.mark.parametrize("window", [(0, 8), (3, 11), (16, 24), (0, 24)])
def test_a_tile_within_the_canvas_is_a_view_of_it(window: tuple[int, int]) -> None:
    plan, canvas = row(window), torch.randn(1, 4, 8, 24)
    assert cut(canvas, plan, plan.tiles[0]).untyped_storage().data_ptr() == canvas.untyped_storage().data_ptr()


def test_a_tensor_that_does_not_lie_on_the_canvas_is_not_cut() -> None:
    plan = row((0, 8))
    with pytest.raises(ValueError, match=r"\(1, 4, 8, 23\) does not lie on a canvas of \(8, 24\)"):
        cut(torch.zeros(1, 4, 8, 23), plan, plan.tiles[0])


def test_the_scale_is_found_from_the_last_two_axes() -> None:
    assert canvas_scale(torch.zeros(8, 24), (8, 24)) == 1
    assert canvas_scale(torch.zeros(3, 64, 192), (8, 24)) == 8
    assert canvas_scale(torch.zeros(1, 1, 4, 12), (8, 24)) is None


@pytest.mark.parametrize("weights", [None, torch.ones])
@pytest.mark.parametrize("shift", [(0, 0), (3, 5)])
def test_pixels_without_a_tile_keep_their_value_where_the_grid_stands_elsewhere(weights, shift: Size) -> None:
    tile = Tile(segment((2, 6), (2, 6)), segment((8, 16), (8, 16)))
    plan = TilePlan((8, 24), (tile,), shift, weights, closed=(True, True))
    previous, prediction = torch.randn(2, 3, 8, 24), torch.randn(2, 3, 4, 8)
    expected = previous.clone()
    for y, x in product(range(4), range(8)):
        expected[..., (2 + y + shift[0]) % 8, (8 + x + shift[1]) % 24] = prediction[..., y, x]
    assert torch.equal(assemble(plan, [(tile, prediction)], previous.clone()), expected)


@pytest.mark.parametrize("weights", [None, torch.ones])
def test_pixels_that_never_had_a_tile_are_zero(weights) -> None:
    tile = Tile(WHOLE, segment((8, 16), (8, 16)))
    fused = assemble(TilePlan((8, 24), (tile,), weights=weights), [(tile, torch.ones(2, 3, 8, 8))])
    assert torch.equal(fused[0, 0, 0], torch.tensor([0.0] * 8 + [1.0] * 8 + [0.0] * 8))
    assert fused.shape == (2, 3, 8, 24)


@pytest.mark.parametrize("weights", [None, torch.ones])
def test_a_plan_without_tiles_cannot_be_assembled(weights) -> None:
    with pytest.raises(ValueError, match="without tiles"):
        assemble(TilePlan((8, 24), (), weights=weights), [])


def test_a_mean_on_a_ring_is_that_of_all_places_where_a_window_sees_a_pixel() -> None:
    windows, weight = [(-4, 12), (8, 24), (20, 36)], torch.rand(8, 16) + 0.1
    tiles = tuple(Tile(WHOLE, segment(window, window)) for window in windows)
    plan = TilePlan((8, 24), tiles, (0, 7), lambda size: weight, (False, True))
    predictions = [torch.randn(1, 1, 8, 16) for _ in tiles]
    above, below = torch.zeros(8, 24), torch.zeros(8, 24)
    for (start, _), prediction in zip(windows, predictions, strict=True):
        for x in range(16):
            above[:, (start + x + 7) % 24] += weight[:, x] * prediction[0, 0, :, x]
            below[:, (start + x + 7) % 24] += weight[:, x]
    fused = assemble(plan, zip(tiles, predictions, strict=True))
    torch.testing.assert_close(fused[0, 0], above / below)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_mean_is_summed_in_fp32_and_given_in_the_precision_of_the_predictions(dtype: torch.dtype) -> None:
    tiles = tuple(Tile(WHOLE, segment(window, window)) for window in [(0, 16), (8, 24)])
    plan = TilePlan((8, 24), tiles, weights=lambda size: torch.full(size, 1 / 3))
    fused = assemble(plan, [(tile, torch.ones(1, 1, 8, 16, dtype=dtype)) for tile in tiles])
    assert fused.dtype == dtype
    assert (fused == 1).all()


class Counting:
    """Weights of one value that count how often they are asked for."""

    def __init__(self, value: float) -> None:
        self.value, self.asked = value, 0

    def __call__(self, size: Size) -> torch.Tensor:
        self.asked += 1
        return torch.linspace(self.value, 1, size[1]).expand(size)


def test_weights_are_made_once_for_a_plan_and_its_equals_and_anew_for_another() -> None:
    def plan(weights: Counting) -> TilePlan:
        tiles = tuple(Tile(WHOLE, segment(window, window)) for window in [(0, 16), (8, 24)])
        return TilePlan((8, 24), tiles, weights=weights)

    def fused(weights: Counting, averaging: Averaging | None) -> torch.Tensor:
        one = plan(weights)
        return assemble(
            one, [(tile, torch.full((1, 1, 8, 16), float(i))) for i, tile in enumerate(one.tiles)], None, averaging
        )

    averaging, first, second = Averaging(), Counting(0.5), Counting(4.0)
    expected = [fused(Counting(value), None) for value in (0.5, 4.0)]
    for _ in range(3):
        assert torch.equal(fused(first, averaging), expected[0])
    assert first.asked == 1
    assert torch.equal(fused(second, averaging), expected[1])
    assert second.asked == 1
    assert not torch.equal(*expected)


def test_weights_that_were_brought_beforehand_are_not_asked_for_again() -> None:
    weights, averaging = [Counting(0.5), Counting(4.0)], Averaging()
    tiles = tuple(Tile(WHOLE, segment(window, window)) for window in [(0, 16), (8, 24)])
    plans = [TilePlan((8, 24), tiles, weights=one) for one in weights]
    predictions = [(tile, torch.full((1, 1, 8, 16), float(i))) for i, tile in enumerate(tiles)]
    averaging.bring(plans, torch.device("cpu"))
    assert [one.asked for one in weights] == [1, 1]
    for plan in plans:
        assert torch.equal(assemble(plan, predictions, None, averaging), assemble(plan, predictions))
    assert [one.asked for one in weights] == [2, 2], "once beforehand, once without it"


@pytest.mark.parametrize(
    ("window", "closed", "parts"),
    [
        ((0, 8), True, [((0, 8), (0, 8))]),
        ((16, 24), True, [((16, 24), (0, 8))]),
        ((-3, 5), True, [((21, 24), (0, 3)), ((0, 5), (3, 8))]),
        ((20, 28), True, [((20, 24), (0, 4)), ((0, 4), (4, 8))]),
        ((-3, 45), True, [((21, 24), (0, 3)), ((0, 24), (3, 27)), ((0, 21), (27, 48))]),
        ((24, 32), True, [((0, 8), (0, 8))]),
        ((-3, 5), False, [((0, 5), (3, 8))]),
        ((20, 28), False, [((20, 24), (0, 4))]),
    ],
)
def test_what_a_window_sees_of_an_axis_and_in_which_part_of_it(window, closed: bool, parts) -> None:
    seen = visible(segment(window, window), 24, closed)
    assert [((s.start, s.stop), (i.start, i.stop)) for s, i in seen] == parts


def test_tiles_that_fade_meet_in_a_straight_slope_over_what_both_see() -> None:
    plan = replace(row((0, 24), (16, 40), closed=False, length=40), weights=faded)
    black, white = torch.zeros(1, 1, 8, 24), torch.ones(1, 1, 8, 24)
    across = assemble(plan, zip(plan.tiles, (black, white), strict=True))[0, 0]
    assert FADE == 8
    expected = [0.0] * 16 + [(place + 0.5) / 8 for place in range(8)] + [1.0] * 16
    for line in across:
        assert line.tolist() == pytest.approx(expected)


def test_a_fading_tile_counts_in_full_away_from_its_border_and_somewhat_at_it() -> None:
    weights = faded((24, 10))
    assert weights.shape == (24, 10)
    assert weights[12, 4].item() == pytest.approx(4.5 / 8)
    assert weights[0, 4].item() == pytest.approx(0.5 / 8 * 4.5 / 8)
    assert torch.equal(faded((24, 32))[8:16, 8:24], torch.ones(8, 16))
    assert torch.equal(weights, weights.flip(0, 1))
