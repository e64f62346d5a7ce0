from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.fusion import cut
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.shapes import Crop, Mask, Polygon, Rectangle, area_resample, area_resample_halved
from lib_instantas.tiling import Segment, Span, Tile, TilePlan

LEFT, RIGHT = Rectangle(0, 0, 0.5, 1), Rectangle(0.5, 0, 0.5, 1)
FRACTIONS = st.floats(-1, 2)
RECTANGLES = st.builds(Rectangle, FRACTIONS, FRACTIONS, st.floats(1e-7, 2), st.floats(1e-7, 2))
TRIANGLES = st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=3, max_size=3).map(tuple).map(Polygon)
MASKS = st.integers(0, 1000).map(lambda seed: Mask(torch.rand(7, 5, generator=torch.Generator().manual_seed(seed))))
REGIONS = st.builds(
    Region,
    RECTANGLES | TRIANGLES | MASKS,
    weight=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    feather=st.sampled_from([0.0, 0.1, 0.8]),
    enabled=st.booleans(),
)
SETUPS = st.builds(RegionSetup, st.lists(REGIONS, max_size=4).map(tuple), st.sampled_from(["weight", "upper"]))


@given(SETUPS, st.tuples(st.integers(1, 20), st.integers(1, 20)), st.tuples(st.integers(1, 10), st.integers(1, 10)))
def test_shares_sum_to_one_at_every_pixel_of_every_resolution(setup, size, grid):
    shares = setup.shares(size)
    assert shares.shape == (1 + len(setup.active), *size)
    assert shares.min() >= 0
    assert torch.allclose(shares.sum(0), torch.ones(size), atol=1e-6)
    for resample in (area_resample, area_resample_halved):
        assert torch.allclose(resample(shares, grid).sum(0), torch.ones(grid), atol=1e-6)


@given(SETUPS, st.integers(0, 11), st.integers(0, 15))
def test_cutting_a_moved_tile_is_cutting_it_from_the_rolled_canvas(setup, down, right):
    shares = setup.shares((12, 16))
    tile = Tile(Segment(Span(3, 11), Span(3, 11)), Segment(Span(8, 16), Span(8, 16)))
    moved = cut(shares, TilePlan((12, 16), (tile,), shift=(down, right), closed=(True, True)), tile)
    rolled = torch.roll(shares, (-down, -right), dims=(-2, -1))
    assert torch.equal(moved, rolled[..., 3:11, 8:16])


@pytest.mark.parametrize("overlap", ["weight", "upper"])
def test_what_no_region_covers_belongs_to_the_main_prompt(overlap):
    shares = RegionSetup((Region(LEFT),), overlap).shares((4, 8))
    assert torch.equal(shares[1], torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]).expand(4, 8))
    assert torch.equal(shares[0], 1 - shares[1])


@pytest.mark.parametrize("overlap", ["weight", "upper"])
@pytest.mark.parametrize("feather", [0.0, 0.5])
def test_neighbours_leave_no_gap_for_the_main_prompt_on_their_common_border(overlap, feather):
    third = Rectangle(0, 0, 1 / 3, 1), Rectangle(1 / 3, 0, 2 / 3, 1)
    shares = RegionSetup(tuple(Region(shape, feather=feather) for shape in third), overlap).shares((10, 10))
    assert shares[0].max() == 0


def test_overlapping_regions_share_in_proportion_to_their_weights():
    whole = Rectangle(0, 0, 1, 1)
    shares = RegionSetup((Region(whole, weight=1), Region(RIGHT, weight=3)), "weight").shares((1, 2))
    assert torch.allclose(shares[:, 0].T, torch.tensor([[0.0, 1, 0], [0, 0.25, 0.75]]))


def test_the_upper_region_wins_where_they_overlap():
    whole = Rectangle(0, 0, 1, 1)
    shares = RegionSetup((Region(whole, weight=9), Region(RIGHT)), "upper").shares((1, 2))
    assert torch.allclose(shares[:, 0].T, torch.tensor([[0.0, 1, 0], [0, 0, 1]]))


@pytest.mark.parametrize("overlap", ["weight", "upper"])
def test_a_weight_below_one_lets_the_main_prompt_through(overlap):
    shares = RegionSetup((Region(LEFT, weight=0.25),), overlap).shares((1, 2))
    assert torch.allclose(shares[:, 0, 0], torch.tensor([0.75, 0.25]))


def test_regions_that_are_off_or_weigh_nothing_take_no_part():
    setup = RegionSetup((Region(LEFT, enabled=False), Region(RIGHT, weight=0)))
    assert setup.active == ()
    assert torch.equal(setup.shares((3, 5)), torch.ones(1, 3, 5))


def test_rounding_puts_no_prompt_into_the_pixel_next_door():
    shares = RegionSetup((Region(Rectangle(0.1, 0, 0.4, 1)),)).shares((1, 10))
    assert shares[1, 0].tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 0, 0]


@given(SETUPS, st.integers(0, 8), st.integers(0, 6), st.sampled_from([2, 4]))
def test_a_crop_shows_that_part_of_the_canvas(setup, down, right, fineness):
    """Masks are exact where the crop's cells are those of the canvas, or parts of them."""
    hard = RegionSetup(tuple(replace(r, feather=0.0) for r in setup.regions if not isinstance(r.shape, Mask)))
    size, crop = (16, 12), Crop(right / 12, down / 16, 6 / 12, 8 / 16)
    expected = hard.shares(size)[:, down : down + 8, right : right + 6]
    assert torch.allclose(hard.cropped(crop, size).shares((8, 6)), expected, atol=1e-4)
    fine = hard.shares((16 * fineness, 12 * fineness))
    seen = hard.cropped(crop, size).shares((8 * fineness, 6 * fineness))
    assert torch.allclose(
        seen,
        fine[:, down * fineness : (down + 8) * fineness, right * fineness : (right + 6) * fineness],
        atol=1e-4,
    )


def test_a_crop_shows_its_part_of_a_mask():
    mask = Mask(torch.rand(8, 6))
    seen = mask.cropped(Crop(2 / 6, 0.5, 0.5, 0.25))
    assert seen.values.shape == (8, 6)
    assert torch.allclose(seen.coverage((2, 3)).float(), mask.values[4:6, 2:5], atol=1e-6)


def test_a_feather_keeps_its_width_in_pixels_in_a_crop():
    region = Region(Rectangle(0.25, 0, 0.75, 1), feather=0.25)
    whole = RegionSetup((region,)).shares((32, 64))
    seen = RegionSetup((region,)).cropped(Crop(0, 0, 0.5, 1), (32, 64)).shares((32, 32))
    assert torch.allclose(seen, whole[:, :, :32], atol=1e-5)


def test_a_feather_goes_on_at_the_other_end_of_a_closed_axis() -> None:
    right = RegionSetup((Region(Rectangle(0.5, 0, 0.5, 1), feather=0.5),))
    closed = right.shares((8, 16), (False, True))[1]
    moved = RegionSetup((Region(Rectangle(0.25, 0, 0.5, 1), feather=0.5),)).shares((8, 16))[1]
    assert torch.allclose(closed, moved.roll(4, -1), atol=1e-6), "as in the middle, where no border is"
    assert closed[0, 0] > 0
    assert torch.equal(right.shares((8, 16), (True, False)), right.shares((8, 16)))
    assert right.shares((8, 16))[1][0, 0] == 0


def test_hard_regions_are_sharp_and_let_nothing_shine_through() -> None:
    soft = RegionSetup((Region(LEFT, feather=0.5, weight=0.2), Region(RIGHT, weight=0)))
    assert torch.equal(soft.hard().shares((4, 8)), RegionSetup((Region(LEFT),)).shares((4, 8)))
