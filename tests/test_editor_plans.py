import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas import tiling
from lib_instantas.editor.plans import MAX_PLANNED, MAX_RECTANGLES, MAX_STEPS, plan_document
from lib_instantas.methods import Request
from lib_instantas.settings import EDGES, parse_settings
from lib_instantas.tiling import Tile

SETTINGS = st.fixed_dictionaries(
    {
        "edges": st.sampled_from(EDGES),
        "schedule": st.sampled_from(["cyclic", "golden", "random"]),
        "gamma": st.floats(0, 1),
        "fit": st.sampled_from(["fitted", "native"]),
    }
)


@given(st.tuples(st.integers(8, 90), st.integers(8, 90)), SETTINGS)
def test_what_is_drawn_covers_each_latent_pixel_once_at_every_step(canvas, settings):
    document = plan_document(Request(canvas, 16, parse_settings(settings), seed=3, steps=6))
    assert len(document["steps"]) == 6
    for index in document["steps"]:
        covered = np.zeros(canvas, int)
        for y, x, height, width in document["plans"][index]["rectangles"]:
            covered[y : y + height, x : x + width] += 1
        assert (covered == 1).all()


def test_equal_grids_are_sent_once():
    settings = parse_settings({"schedule": "cyclic", "gamma": 0.5, "edges": "ring"})
    document = plan_document(Request((8, 64), 16, settings, steps=20))
    assert len(document["plans"]) == 2
    assert len(document["steps"]) == 20


def test_a_run_of_many_large_grids_is_cut_short_and_says_so():
    settings = parse_settings({"schedule": "random"})
    document = plan_document(Request((1024, 1024), 16, settings, steps=MAX_STEPS))
    shown = len(document["steps"])
    assert 1 <= shown < MAX_STEPS
    assert sum(len(plan["rectangles"]) for plan in document["plans"]) <= MAX_RECTANGLES
    assert document["left_out"] == f"steps {shown + 1} to {MAX_STEPS} are not shown: too many tiles in all"


def test_a_grid_that_stands_still_is_not_planned_without_end():
    settings = parse_settings({"method": "MultiDiffusion", "overlap": 0})
    document = plan_document(Request((1024, 1024), 16, settings, steps=MAX_STEPS))
    assert len(document["plans"]) == 1
    assert len(document["steps"]) * 4096 <= MAX_PLANNED


@pytest.mark.parametrize("method", ["MultiDiffusion", "Guided Fusion", "FSTD", "InstantAS"])
def test_a_grid_too_large_to_be_drawn_is_counted_and_never_planned(method, monkeypatch):
    settings = parse_settings({"method": method, "tile": 64, "overlap": 0.95})
    sizes = []
    monkeypatch.setattr(tiling, "Tile", lambda y, x: sizes.append(1) or Tile(y, x))
    document = plan_document(Request((4096, 4096), 64, settings, steps=MAX_STEPS))
    assert len(sizes) < 20_000
    assert document["plans"][0]["rectangles"] == []
    assert document["plans"][0]["tiles"] > 200_000
    assert document["left_out"] == "the grid is not drawn: at most 10000 tiles are"


def test_what_is_there_in_full_says_nothing_of_it():
    assert plan_document(Request((64, 256), 64, parse_settings({}), steps=20))["left_out"] == ""
