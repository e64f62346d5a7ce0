"""Background prompts: which words are the thing's, and where it is, of maps that are drawn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lib_instantas.background import BackgroundSetup, found_in_words, thing_positions, thing_share
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.shapes import Rectangle

SIZE = (24, 32)
LEFT = Region(Rectangle(0, 0, 0.5, 1), "a fox")


def spot(y: float, x: float, width: float = 2.0) -> Tensor:
    """A map that has its height at a place, over a ground of a tenth of it."""
    rows, columns = torch.arange(SIZE[0])[:, None], torch.arange(SIZE[1])[None]
    return 0.1 + (-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2)).exp()


def everywhere() -> Tensor:
    return 1 + 0.2 * torch.rand(SIZE, generator=torch.Generator().manual_seed(0))


# Words


def test_the_things_words_are_those_that_the_background_has_not() -> None:
    words = ["a", "red", "house", "in", "a", "meadow", "by", "day"]
    assert thing_positions(words, ["a", "meadow", "by", "day"], ["in"]) == (1, 2)
    assert thing_positions(words, words, []) == ()
    assert thing_positions([*words, "house"], ["a", "meadow", "by", "day"], ["in"]) == (1, 2, 8)


# Places


@given(st.floats(4, 20), st.floats(4, 28), st.floats(0.01, 100))
def test_the_thing_is_where_its_word_was_looked_at_whatever_the_scale(y: float, x: float, scale: float) -> None:
    share = thing_share(scale * spot(y, x)[None])
    assert share is not None
    assert share[round(y), round(x)] == 1
    rows, columns = torch.nonzero(share, as_tuple=True)
    assert ((rows - y) ** 2 + (columns - x) ** 2).sqrt().max() < 5
    assert 0 <= share.min() <= share.max() <= 1


def test_two_things_have_both_their_places_however_strong_each_is() -> None:
    share = thing_share(torch.stack([spot(6, 6), 0.01 * spot(18, 26)]))
    assert share is not None
    assert share[6, 6] == share[18, 26] == 1
    assert share[12, 16] == 0


def test_a_word_about_all_of_the_picture_tells_no_place() -> None:
    alone, beside = thing_share(spot(6, 6)[None]), thing_share(torch.stack([spot(6, 6), everywhere()]))
    assert alone is not None
    assert beside is not None
    assert torch.equal(alone, beside)
    assert thing_share(everywhere()[None]) is None


@pytest.mark.parametrize("maps", [None, torch.zeros(2, *SIZE)])
def test_where_nothing_was_looked_at_there_is_no_thing(maps: Tensor | None) -> None:
    assert thing_share(maps) is None


def test_it_is_said_how_much_the_background_leaves_alone() -> None:
    thing = torch.zeros(10, 10)
    thing[:2, :2] = 1
    assert found_in_words(thing) == "prompt on all but 4.0% of the canvas"
    assert found_in_words(None).startswith("prompt nowhere, since")


# Shares


@given(st.sampled_from([RegionSetup(), RegionSetup((LEFT,))]), st.integers(3, 40), st.integers(3, 40))
def test_shares_are_whole_and_regions_keep_theirs(setup: RegionSetup, height: int, width: int) -> None:
    thing = thing_share(spot(12, 20)[None])
    assert thing is not None
    shares = BackgroundSetup(setup, thing).shares((height, width))
    own = setup.shares((height, width))
    assert shares.shape == (2 + len(setup.active), height, width)
    assert torch.allclose(shares.sum(0), torch.ones(height, width), atol=1e-6)
    assert torch.equal(shares[1:-1], own[1:])
    assert torch.allclose(shares[0] + shares[-1], own[0], atol=1e-6)


def test_the_main_prompt_has_the_things_place_alone() -> None:
    thing = thing_share(spot(12, 20)[None])
    assert thing is not None
    main, background = BackgroundSetup(RegionSetup(), thing).shares((48, 64))
    assert main[25, 41] == 1
    assert background[25, 41] == 0
    assert main[2, 2] == 0
    assert background[2, 2] == 1
    assert abs(float(main.mean() - thing.mean())) < 0.005


def test_where_all_is_the_things_the_background_has_nothing() -> None:
    shares = BackgroundSetup(RegionSetup((LEFT,)), torch.ones(1, 1)).shares(SIZE)
    assert torch.equal(shares[:-1], RegionSetup((LEFT,)).shares(SIZE))
    assert not shares[-1].any()


def test_hard_regions_are_hard_beside_a_background_too() -> None:
    soft = RegionSetup((Region(Rectangle(0, 0, 0.5, 1), "a fox", weight=0.5, feather=0.2),))
    shares = BackgroundSetup(soft, torch.ones(1, 1)).hard().shares(SIZE)
    assert set(shares.unique().tolist()) == {0.0, 1.0}
