import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.editor.plans import MAX_STEPS, plan_document
from lib_instantas.methods import Request
from lib_instantas.settings import EDGES, parse_settings

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


def test_a_huge_plan_is_cut_short_but_never_empty():
    settings = parse_settings({"schedule": "random"})
    document = plan_document(Request((4096, 4096), 16, settings, steps=MAX_STEPS))
    assert 1 <= len(document["steps"]) < MAX_STEPS
    assert sum(len(plan["rectangles"]) for plan in document["plans"]) < 200_000
