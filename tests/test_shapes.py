import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lib_instantas.shapes import Mask, Polygon, Rectangle, area_resample, area_resample_halved, feathered

SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))
FRACTIONS = st.floats(-1.5, 2.5, allow_nan=False)
POINTS = st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=3, max_size=7)


def length_inside(start, stop):
    return max(0.0, min(stop, 1) - max(start, 0))


def shoelace(points):
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2


@given(SIZES, FRACTIONS, FRACTIONS, st.floats(1e-6, 3), st.floats(1e-6, 3))
def test_a_rectangle_keeps_at_every_resolution_the_area_it_has_on_the_canvas(size, x, y, width, height):
    coverage = Rectangle(x, y, width, height).coverage(size)
    assert coverage.shape == size
    assert 0 <= coverage.min() <= coverage.max() <= 1 + 1e-9
    expected = length_inside(x, x + width) * length_inside(y, y + height)
    assert coverage.mean().item() == pytest.approx(expected, abs=1e-9)


@given(SIZES, st.floats(0.01, 0.49), st.integers(3, 9))
def test_a_convex_polygon_inside_the_canvas_keeps_its_shoelace_area(size, radius, corners):
    angles = [2 * math.pi * i / corners + 0.1 for i in range(corners)]
    points = [(0.5 + radius * math.cos(a), 0.5 + radius * math.sin(a)) for a in angles]
    coverage = Polygon(tuple(points)).coverage(size)
    assert coverage.mean().item() == pytest.approx(shoelace(points), abs=1e-6)
    assert torch.allclose(coverage, Polygon(tuple(points[::-1])).coverage(size)), "whichever way it is drawn"


@given(SIZES, FRACTIONS, FRACTIONS, st.floats(0.001, 3), st.floats(0.001, 3))
def test_a_polygon_with_the_corners_of_a_rectangle_is_the_rectangle(size, x, y, width, height):
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    expected = Rectangle(x, y, width, height).coverage(size)
    assert torch.allclose(Polygon(corners).coverage(size), expected, atol=1e-6)


@given(POINTS, st.integers(1, 12), st.integers(1, 12), st.integers(2, 4))
def test_the_coverage_of_a_cell_is_the_mean_of_its_parts(points, rows, columns, parts):
    # Only for outlines that do not cross themselves is the coverage additive; a triangle never does.
    triangle = Polygon(tuple(points[:3]))
    fine = triangle.coverage((rows * parts, columns * parts))
    means = fine.unflatten(0, (rows, parts)).unflatten(2, (columns, parts)).mean((1, 3))
    assert torch.allclose(triangle.coverage((rows, columns)), means, atol=1e-6)


@given(SIZES, POINTS)
def test_any_outline_covers_between_nothing_and_all_of_a_cell(size, points):
    coverage = Polygon(tuple(points)).coverage(size)
    assert torch.isfinite(coverage).all()
    assert 0 <= coverage.min() <= coverage.max() <= 1


@pytest.mark.parametrize(
    "shape",
    [
        Rectangle(1.2, 0, 0.5, 1),
        Rectangle(-2, 0, 2, 1),
        Rectangle(0, -3, 1, 2),
        Polygon(((1, 0), (2, 0), (2, 1))),
        Polygon(((0.2, -0.5), (0.8, -0.1), (0.5, -0.7))),
        Polygon(((0.2, 1.5), (0.8, 1.1), (0.5, 1.7))),
        Polygon(((0.5, 0.5), (0.5, 0.5), (0.5, 0.5))),
    ],
)
def test_a_shape_beside_the_canvas_or_without_area_covers_nothing(shape):
    assert shape.coverage((9, 7)).abs().max() < 1e-12


def test_a_mask_is_averaged_over_each_cell():
    mask = Mask(torch.tensor([[1.0, 0.0, 0.5, 0.5], [1.0, 0.0, 0.0, 1.0]]))
    assert torch.allclose(mask.coverage((1, 2)), torch.tensor([[0.5, 0.5]], dtype=torch.float64))
    assert torch.allclose(mask.coverage((2, 8)), mask.values.double().repeat_interleave(2, 1))
    thirds = Mask(torch.tensor([[1.0, 0.0, 0.5]])).coverage((1, 2))
    assert torch.allclose(thirds, torch.tensor([[1 / 1.5, 0.5 / 1.5]], dtype=torch.float64))


@given(SIZES, SIZES)
def test_resampling_keeps_what_is_even(source, target):
    assert torch.allclose(area_resample(torch.full(source, 0.3), target), torch.full(target, 0.3))


@given(st.integers(1, 70), st.integers(1, 4))
@example(1, 1)
def test_halved_grids_have_cells_of_whole_pixels(length, halvings):
    side = 2**halvings
    cells = math.ceil(length / side)
    values = torch.rand(1, length)
    expected = torch.stack([values[0, i * side : (i + 1) * side].mean() for i in range(cells)])
    assert torch.allclose(area_resample_halved(values, (1, cells))[0], expected, atol=1e-6)


def test_zero_stays_exactly_zero_when_resampled():
    values = torch.rand(40, 40)
    values[:16] = 0
    for resample in (area_resample, area_resample_halved):
        assert (resample(values, (10, 10))[:4] == 0).all()


def test_a_feather_is_a_straight_ramp_centred_on_the_outline():
    hard = Rectangle(0.5, 0, 0.5, 1).coverage((4, 100))
    soft = feathered(hard, 20)
    positions = torch.arange(100) + 0.5
    assert torch.allclose(soft[2], ((positions - 40) / 20).clamp(0, 1).double(), atol=0.01)
    assert torch.allclose(soft[0], soft[3]), "no fading at the canvas's own border"
    assert soft[0, -1] == 1


@given(SIZES, st.floats(0, 40), FRACTIONS, st.floats(0.01, 1))
def test_a_feathered_shape_and_its_complement_still_make_up_the_whole(size, width, x, extent):
    shape = Rectangle(x, 0.2, extent, 0.5).coverage(size)
    assert torch.allclose(feathered(shape, width) + feathered(1 - shape, width), torch.ones(size).double())
