"""Scenes are drawn as described, at any size, the same for the same seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_world.renderer import centre_of, render
from small_world.scene import PLACES, THINGS, TIMES, TIMES_OF_THING, Scene


@pytest.mark.parametrize("size", [(256, 256), (256, 1024), (1024, 256), (300, 611), (64, 64)])
def test_any_size_is_drawn_to_the_pixel_and_the_same_again(size):
    scene = Scene("harbour", "sunset", "lighthouse", seed=3)
    first = render(scene, size)
    assert first.pixels.shape == (*size, 3)
    assert np.array_equal(first.pixels, render(scene, size).pixels)
    assert not np.array_equal(first.pixels, render(replace(scene, seed=4), size).pixels)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("time", TIMES)
def test_a_thing_changes_the_picture_around_its_centre_only(place, time):
    bare = Scene(place, time, seed=11)
    thing = next(t for t in THINGS[PLACES.index(place) :] + THINGS if time in TIMES_OF_THING.get(t, TIMES))
    scene = replace(bare, thing=thing)
    picture = render(scene)
    assert picture.centre == centre_of(scene)
    changed = np.argwhere((picture.pixels != render(bare).pixels).any(2))
    assert len(changed) > 800
    distance = np.hypot(changed[:, 1] - picture.centre[0], changed[:, 0] - picture.centre[1])
    assert distance.max() < 85
    assert np.hypot(*(changed.mean(0)[::-1] - picture.centre)) < 25


@pytest.mark.parametrize("thing", ["house", "tree", "boat", "windmill", "balloon", "lighthouse"])
def test_the_colour_named_is_the_colour_seen(thing):
    def strongest(colour):
        scene = Scene("meadow", "day", thing, colour, seed=5)
        near = render(scene).pixels.astype(int)
        bare = render(replace(scene, thing=None, colour=None)).pixels
        return near[(near != bare).any(2)]

    red, blue = strongest("red"), strongest("blue")
    assert (red[:, 0] - red[:, 2] > 100).sum() > 150
    assert (blue[:, 2] - blue[:, 0] > 80).sum() > 150
    assert (blue[:, 0] - blue[:, 2] > 100).sum() < (red[:, 0] - red[:, 2] > 100).sum() / 2


def test_lights_differ_as_lights_do():
    brightness = {time: render(Scene("meadow", time, seed=1)).pixels.mean() for time in TIMES}
    assert brightness["night"] < 60 < brightness["sunset"] < brightness["day"]
    contrast = {time: render(Scene("mountains", time, seed=1)).pixels.std() for time in TIMES}
    assert contrast["fog"] < 0.7 * contrast["day"]


def test_a_tall_picture_keeps_its_ground_below_and_the_sky_above():
    sky_above = render(Scene("meadow", "day", seed=2), (1024, 256)).pixels[:512].astype(int)
    assert (sky_above[..., 2] > sky_above[..., 1]).mean() > 0.9


def test_a_size_too_small_to_show_anything_is_refused():
    with pytest.raises(ValueError, match="8x8"):
        render(Scene("sea", "day"), (8, 8))


def test_pictures_of_several_ratios_have_their_captions(tmp_path: Path) -> None:
    from small_world.ratios import SIZES, draw
    from small_world.scene import parse

    assert draw(tmp_path, 1) == len(SIZES)
    sizes = set()
    for file in tmp_path.glob("*.png"):
        parse(file.with_suffix(".txt").read_text("utf-8"))
        with Image.open(file) as picture:
            sizes.add((picture.height, picture.width))
    assert sizes == set(SIZES)
