"""Tiles meet on the hard borders of regions, and no ring joins the two ends of a picture that differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import Settings, parse_settings
from lib_instantas.tiling import TilePlan, axes
from small_world import CHECKPOINT


def box(left: float, right: float, top: float = 0, bottom: float = 1, **others: Any) -> dict[str, Any]:
    shape = {"type": "rectangle", "x": left, "y": top, "width": right - left, "height": bottom - top}
    return {"shape": shape, "prompt": "a harbour by day", **others}


def lengths(fit: str, width: int) -> set[int]:
    """What windows may be as long as, latent pixels: a uniform grid has two lengths, border tiles are stretched."""
    side = axes((32, width), 32, fit)[1].side
    return {side} if fit == "fixed" else {side, side + 8}


def settings(*regions: dict[str, Any], **others: Any) -> Settings:
    return parse_settings({"enabled": True, "regions": list(regions), **others})


def plans(chosen: Settings, canvas: tuple[int, int], steps: int = 6) -> list[TilePlan]:
    method = make_method(Request(canvas, 32, chosen, 1, steps))
    return [method.plan(evaluation) for evaluation in range(steps)]


@pytest.mark.parametrize(
    ("regions", "edges", "in_use"),
    [
        ([], "elastic/sway", ("elastic", "sway")),
        ([box(0.5, 1)], "elastic/sway", ("elastic", "elastic")),
        ([box(0.3, 0.6)], "elastic/sway", ("elastic", "elastic")),
        ([box(0, 1)], "elastic/sway", ("elastic", "sway")),
        ([box(0, 1, 0, 0.5)], "elastic/sway", ("elastic", "sway")),
        ([box(0, 1, 0, 0.5)], "sway/ring", ("elastic", "ring")),
        ([box(0.5, 1)], "ring", ("ring", "ring")),
        ([box(0.5, 1, enabled=False)], "elastic/sway", ("elastic", "sway")),
    ],
)
def test_edges_do_not_sway_along_an_axis_on_which_regions_change(
    regions: list[dict[str, Any]], edges: str, in_use: tuple[str, str]
) -> None:
    assert settings(*regions, edges=edges).edges_in_use == in_use


def test_a_wrapped_picture_stays_a_ring() -> None:
    assert settings(box(0.5, 1), wrap="horizontal").edges_in_use == ("elastic", "ring")


def columns(plan: TilePlan) -> set[int]:
    return {tile.x.keep.start for tile in plan.tiles} - {0}


def test_the_line_between_two_tiles_stands_on_a_hard_border() -> None:
    assert {tuple(columns(plan)) for plan in plans(settings(box(0.5, 1)), (32, 64))} == {(32,)}
    assert {tuple(columns(plan)) for plan in plans(settings(box(0.53125, 1)), (32, 64))} == {(34,)}
    rows = {tile.y.keep.start for plan in plans(settings(box(0, 1, 0, 0.5)), (64, 32)) for tile in plan.tiles}
    assert rows == {0, 32}


@pytest.mark.parametrize("region", [box(0.5, 1, feather=0.3), box(0.5, 1, 0.4, 0.6), box(0.3, 1)])
def test_it_moves_where_the_border_is_soft_or_short_or_far_away(region: dict[str, Any]) -> None:
    assert len({tuple(columns(plan)) for plan in plans(settings(region), (32, 64))}) > 3


@given(
    width=st.integers(40, 200),
    borders=st.lists(st.floats(0.05, 0.95), min_size=1, max_size=4),
    fit=st.sampled_from(["uniform", "fitted", "native", "fixed"]),
    steps=st.sampled_from([6, 20]),
)
def test_wherever_borders_lie_each_pixel_is_kept_by_one_tile_that_sees_it(
    width: int, borders: list[float], fit: str, steps: int
) -> None:
    regions = [box(left, 1) for left in sorted(borders)]
    for plan in plans(settings(*regions, fit=fit), (32, width), steps):
        kept = np.zeros(width, int)
        for tile in plan.tiles:
            kept[tile.x.keep.start : tile.x.keep.stop] += 1
            assert tile.x.window.start <= tile.x.keep.start < tile.x.keep.stop <= tile.x.window.stop
            assert fit == "fitted" or len(tile.x.window) in lengths(fit, width)
        assert (kept == 1).all()


def test_few_steps_leave_no_strip_at_the_end_of_the_picture() -> None:
    """Beyond the left end of a ring lies the right region: its tile painted 50 pixels of the left one in its manner."""
    job = Job("mountains at sunset", (256, 512), settings(box(0.5, 1)), seed=101, steps=6, sampler="Euler a")
    made = Generator(load_pipeline(CHECKPOINT))(job).image.convert("RGB")
    pixels = np.asarray(made, dtype=float)
    strip, beside = pixels[:, 8:56].mean(1), pixels[:, 72:120].mean(1)
    assert np.abs(strip - beside).mean() < 8
