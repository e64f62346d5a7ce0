"""SpotDiffusion: windows without overlap, rolled around the picture by a random shift."""

from __future__ import annotations

import torch

from lib_instantas.fusion import cut
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings

SETTINGS = parse_settings({"method": "SpotDiffusion"})
EVALUATIONS = range(40)


def grid(canvas: tuple[int, int], seed: int = 0):
    return make_method(Request(canvas, 16, SETTINGS, seed))


def test_every_window_is_the_native_square_of_the_rolled_picture() -> None:
    """Equal to rolling the picture, cutting it at every 16 columns, and rolling it back."""
    x = torch.randn(1, 4, 16, 96)
    method = grid((16, 96), seed=3)
    for evaluation in EVALUATIONS:
        plan = method.plan(evaluation)
        assert plan.shift[0] == 0
        rolled = torch.roll(x, -plan.shift[1], dims=-1)
        windows = [cut(x, plan, tile) for tile in plan.tiles]
        assert torch.equal(torch.cat(windows, -1), rolled)
        assert {tuple(window.shape[-2:]) for window in windows} == {(16, 16)}


def test_shifts_are_spread_over_the_whole_picture_and_follow_the_seed() -> None:
    def shifts(seed: int) -> list[int]:
        return [grid((16, 96), seed).plan(evaluation).shift[1] for evaluation in EVALUATIONS]

    assert shifts(1) == shifts(1) != shifts(2)
    assert shifts(1)[0] == 0
    assert min(shifts(1)[1:]) < 16
    assert max(shifts(1)) >= 80
    assert len(set(shifts(1))) > 20


def test_both_axes_are_rolled_where_both_are_tiled_and_each_for_itself() -> None:
    shifts = [grid((48, 96)).plan(evaluation).shift for evaluation in EVALUATIONS]
    assert len({down for down, _ in shifts}) > 10
    assert len({right for _, right in shifts}) > 10
    assert any(down != right % 48 for down, right in shifts)
    assert all(grid((48, 96)).plan(evaluation).closed == (True, True) for evaluation in EVALUATIONS)
