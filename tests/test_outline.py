from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.methods import Request, make_method
from lib_instantas.outline import tile_count
from lib_instantas.settings import EDGES, parse_settings

CANVASES = st.tuples(st.integers(8, 300), st.integers(8, 300))
APART = st.sampled_from(
    ["MultiDiffusion", "Guided Fusion", "SyncDiffusion", "ElasticDiffusion", "ScaleCrafter", "direct"]
)


@given(CANVASES, APART, st.sampled_from([0, 0.5, 0.9]))
def test_tiles_are_counted_as_they_are_laid_where_the_axes_know_nothing_of_each_other(canvas, method, overlap):
    request = Request(canvas, 16, parse_settings({"method": method, "overlap": overlap}), steps=3)
    assert tile_count(request) == len(make_method(request).plan(0).tiles)


@given(CANVASES, st.sampled_from(["InstantAS", "FSTD"]), st.sampled_from(EDGES))
def test_native_grids_are_counted_as_they_are_laid(canvas, method, edges):
    request = Request(canvas, 16, parse_settings({"method": method, "edges": edges, "fit": "native"}), steps=3)
    assert tile_count(request) == len(make_method(request).plan(0).tiles)


@given(CANVASES, st.sampled_from(["InstantAS", "FSTD"]))
def test_fitted_grids_are_counted_to_a_tile_or_two_a_side(canvas, method):
    request = Request(canvas, 16, parse_settings({"method": method}), steps=3)
    rows, columns = (
        len({tile.y if axis else tile.x for tile in make_method(request).plan(0).tiles}) for axis in (1, 0)
    )
    assert (rows - 2) * (columns - 2) <= tile_count(request) <= (rows + 2) * (columns + 2)
