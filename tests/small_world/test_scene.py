"""Captions say what is drawn, and can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from small_world.scene import PLACES, THINGS, TIMES, Scene, describe, parse, random_scene, vocabulary

seeds = st.integers(0, 2**31)


@given(seeds, st.none() | seeds)
def test_a_caption_in_any_wording_is_read_back_as_its_scene(seed, wording):
    scene = random_scene(seed)
    assert parse(describe(scene, wording), seed) == scene


@given(seeds, seeds)
def test_every_word_of_every_caption_is_in_the_vocabulary(seed, wording):
    words = describe(random_scene(seed), wording).replace(",", "").split()
    assert set(words) <= {word.strip(",") for word in vocabulary()}


def test_a_person_may_write_it_differently():
    assert parse("A misty harbor with a green ship") == Scene("harbour", "fog", "boat", "green")


def test_places_times_and_things_come_equally_often():
    scenes = [random_scene(seed) for seed in range(4000)]
    for options, pick in ((PLACES, "place"), (TIMES, "time")):
        counts = [sum(getattr(scene, pick) == option for scene in scenes) for option in options]
        assert min(counts) > 0.8 * len(scenes) / len(options)
    assert min(sum(scene.thing == thing for scene in scenes) for thing in THINGS) > 250


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("moor", "day"), "place"),
        (("sea", "noon"), "time"),
        (("sea", "day", "whale"), "thing"),
        (("sea", "day", "boat", "pink"), "colour"),
        (("sea", "night", "sun"), "time of a sun"),
    ],
)
def test_a_scene_that_cannot_be_drawn_is_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=named):
        Scene(*arguments)


def test_a_caption_without_a_place_is_refused():
    with pytest.raises(ValueError, match="harbour"):
        parse("a red house")
