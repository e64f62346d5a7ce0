"""Squares of larger scenes are what the renderer drew there, and know where the scene's thing is."""

from dataclasses import replace

import numpy as np
import torch

from small_world.crops import EACH, FIRST_SEED, SIDE, crop, draw
from small_world.dataset import crops
from small_world.renderer import centre_of, render
from small_world.scene import random_scene
from small_world.train_judge import spots_at
from small_world.train_unet import EMPHASIS, Lessons, emphasis


def test_a_square_is_its_part_of_the_scene(tmp_path):
    pictures = np.load(crops(tmp_path, 6, workers=1))
    assert pictures.shape == (6, SIDE, SIDE, 3)
    for number in (0, 5):
        one = crop(number)
        whole = render(one.scene, one.size, one.closest).pixels
        part = whole[one.top : one.top + SIDE, one.left : one.left + SIDE]
        assert part.shape == pictures[number].shape
        assert np.array_equal(part, pictures[number])


def test_squares_are_numbered_alike_wherever_drawing_begins():
    assert np.array_equal(draw(3, 6)[1], draw(4, 5)[0])


def test_some_squares_of_a_scene_lie_apart_and_are_on_the_latents_grid():
    for first in range(0, 40 * EACH, EACH):
        squares = [crop(number) for number in range(first, first + EACH)]
        assert {one.scene.seed for one in squares} == {FIRST_SEED + first // EACH}
        assert len({(one.top, one.left) for one in squares}) > 1
        assert all(one.top % 8 == one.left % 8 == 0 for one in squares)
        assert all(one.top + SIDE <= one.size[0] and one.left + SIDE <= one.size[1] for one in squares)


def test_a_things_centre_is_where_it_is_drawn_in_the_square():
    chosen = [one for one in map(crop, range(400)) if one.centre and all(60 < side < SIDE - 60 for side in one.centre)]
    assert len(chosen) > 20
    for one in chosen[:6]:
        bare = replace(one.scene, thing=None, colour=None)
        drawn, without = (render(scene, one.size, one.closest).pixels for scene in (one.scene, bare))
        changed = (drawn.astype(int) != without).any(2)[one.top : one.top + SIDE, one.left : one.left + SIDE]
        x, y = (int(side) for side in one.centre)
        assert changed[y - 12 : y + 12, x - 12 : x + 12].mean() > 0.3


def test_scenes_seen_from_nearer_show_the_native_scene_larger():
    scene = replace(random_scene(7), thing="tree", colour=None, time="day")
    native, near = centre_of(scene), centre_of(scene, (512, 512), 2.0)
    np.testing.assert_allclose(near, 2 * np.array(native))
    assert centre_of(scene, (512, 512)) != near


def test_the_error_weighs_more_at_a_thing_that_lies_in_the_square_and_nowhere_else():
    scene = replace(random_scene(7), thing="tree", colour=None)
    inside, beside, none = emphasis([scene] * 3, [(100.0, 60.0), (100.0, 600.0), None], SIDE)
    assert inside.shape == (1, SIDE // 8, SIDE // 8)
    row, column = divmod(int(inside.argmax()), SIDE // 8)
    assert (row, column) == (60 // 8, 100 // 8)
    assert 0.9 * EMPHASIS < float(inside.max()) - 1 <= EMPHASIS
    assert float(beside.max()) < 1.001
    assert torch.equal(none, torch.ones_like(none))
    assert spots_at([scene], [None], SIDE).sum() == 0


def test_lessons_keep_a_pictures_caption_and_weights_with_it():
    numbers = torch.arange(50.0)
    tokens = torch.stack([100 * wording + torch.arange(50) for wording in range(3)])[..., None].expand(-1, -1, 77)
    lessons = Lessons(numbers[:, None, None, None].expand(-1, 4, 2, 2), tokens, 1 + numbers[:, None, None, None])
    torch.manual_seed(0)
    latents, text, weights = lessons.some(200)
    assert torch.equal(latents[:, 0, 0, 0], (text[:, 0] % 100).float())
    assert torch.equal(latents[:, 0, 0, 0] + 1, weights[:, 0, 0, 0])
    assert set((text[:, 0] // 100).tolist()) == {0, 1, 2}
