"""TwinDiffusion: crops fused with the one before them in the first half, and crossed at every second step."""

from __future__ import annotations

import pytest
import torch

from lib_instantas.fusion import assemble
from lib_instantas.methods import Request, make_method
from lib_instantas.methods.twindiffusion import TwinGrid
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import TilePlan

STEPS = 8


def grid(canvas: tuple[int, int], overlap: float = 0.75) -> TwinGrid:
    method = make_method(
        Request(canvas, 16, parse_settings({"method": "TwinDiffusion", "overlap": overlap}), steps=STEPS)
    )
    assert isinstance(method, TwinGrid)
    return method


def crop_fusion(plan: TilePlan, views: list[torch.Tensor], fuses: bool, weight: float = 1.0) -> torch.Tensor:
    """The paper's loop over one row of views, written out: fuse each with the one before it, then average."""
    value, count = torch.zeros(1, 1, *plan.canvas), torch.zeros(plan.canvas[1])
    before, stop = None, 0
    for tile, view in zip(plan.tiles, views, strict=True):
        start, fused = tile.x.window.start, view.clone()
        if fuses and before is not None and stop > start:
            shared = stop - start
            fused[..., :shared] = (before[..., -shared:] + weight * view[..., :shared]) / (1 + weight)
        value[..., start : tile.x.window.stop] += fused
        count[start : tile.x.window.stop] += 1
        before, stop = fused, tile.x.window.stop
    return value / count


@pytest.mark.parametrize("evaluation", range(STEPS))
@pytest.mark.parametrize("overlap", [0.75, 0.5, 0.2])
def test_predictions_are_put_together_as_the_papers_loop_does(evaluation: int, overlap: float) -> None:
    plan = grid((16, 64), overlap).plan(evaluation)
    views = [torch.randn(1, 1, 16, 16) for _ in plan.tiles]
    expected = crop_fusion(plan, views, fuses=evaluation < STEPS // 2)
    torch.testing.assert_close(assemble(plan, zip(plan.tiles, views, strict=True)), expected)
    other = crop_fusion(plan, views, fuses=evaluation >= STEPS // 2)
    assert not torch.allclose(other, expected, atol=1e-3)


def test_at_every_second_step_the_inner_views_stand_half_a_stride_further_on() -> None:
    method = grid((16, 64))
    even, odd = ([tile.x.window.start for tile in method.plan(step).tiles] for step in (0, 1))
    assert even == [*range(0, 49, 4)]
    assert odd == [0, *range(6, 47, 4), 48]
    assert method.plan(2) == method.plan(0)
    assert method.plan(5).tiles == method.plan(1).tiles


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.3, 0.5])
def test_crossing_leaves_no_gap_at_small_overlaps(overlap: float) -> None:
    for canvas in ((16, 64), (40, 90)):
        method = grid(canvas, overlap)
        for step in range(2):
            plan = method.plan(step)
            ones = [(tile, torch.ones(1, 1, *tile.size)) for tile in plan.tiles]
            torch.testing.assert_close(assemble(plan, ones), torch.ones(1, 1, *canvas))


def test_rows_of_tiles_are_fused_as_columns_are() -> None:
    plan = grid((64, 16)).plan(0)
    views = [torch.randn(1, 1, 16, 16) for _ in plan.tiles]
    upright = assemble(plan, zip(plan.tiles, views, strict=True))
    lying = grid((16, 64)).plan(0)
    turned = crop_fusion(lying, [view.mT for view in views], fuses=True).mT
    torch.testing.assert_close(upright, turned)
