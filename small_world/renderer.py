"""Draws a scene at any size: sky, place, then the thing on its own piece of ground or water."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from small_world.light import LIGHTS, Colour, mix
from small_world.places import DRAW_PLACE, GRASS, SAND, WATER, WET
from small_world.scene import PLACES, SKY_THINGS, THINGS, TIMES, Scene
from small_world.sky import draw_sky
from small_world.things import DRAW_THING, Spot
from small_world.view import View, view_of

Size = tuple[int, int]


@dataclass(frozen=True)
class Picture:
    """A drawn scene: pixels [height, width, 3], and where the centre of its thing is (x, y in pixels), if any."""

    pixels: NDArray[np.uint8]
    centre: tuple[float, float] | None


def render(scene: Scene, size: Size = (256, 256), closest: float = 1.0) -> Picture:
    """Draw a scene on height x width pixels; the same scene and size give the same picture.

    A native pixel is never longer than `closest`: at 2, a canvas of 512x512 shows the native scene twice as large,
    where it would otherwise show more of it.
    """
    view, spot = _layout(scene, size, closest)
    draw_sky(view)
    DRAW_PLACE[scene.place](view)
    if spot is None or scene.thing is None:
        return Picture(view.canvas.finish(), None)
    if scene.thing not in SKY_THINGS:
        _footing(spot, scene)
    DRAW_THING[scene.thing](spot)
    return Picture(view.canvas.finish(), _centre(spot, scene))


def centre_of(scene: Scene, size: Size = (256, 256), closest: float = 1.0) -> tuple[float, float] | None:
    """Return what `render` would say of the thing's centre, without drawing."""
    _, spot = _layout(scene, size, closest)
    return None if spot is None else _centre(spot, scene)


def _centre(spot: Spot, scene: Scene) -> tuple[float, float]:
    return spot.x, spot.y - (0 if scene.thing in SKY_THINGS else 36 * spot.size)


def _layout(scene: Scene, size: Size, closest: float) -> tuple[View, Spot | None]:
    height, width = size
    if min(size) < 16:
        raise ValueError(f"Small World: a picture must be at least 16x16 pixels, got {width}x{height}")
    entropy = [scene.seed, PLACES.index(scene.place), TIMES.index(scene.time)]
    view = view_of(height, width, LIGHTS[scene.time], np.random.default_rng(entropy), closest)
    if scene.thing is None:
        return view, None
    # The thing has its own random numbers, so that it can come and go without changing the place.
    return view, _spot(view, scene, np.random.default_rng([*entropy, THINGS.index(scene.thing)]))


def _spot(view: View, scene: Scene, rng: np.random.Generator) -> Spot:
    size = view.unit * rng.uniform(0.85, 1.1)
    margin = min(46 * size, 0.5 * view.width)
    x = rng.uniform(margin, view.width - margin) if view.width > 2 * margin else view.width / 2
    sky = scene.thing in SKY_THINGS
    y = (
        view.horizon - rng.uniform(74, 106) * view.relief
        if sky
        else view.horizon + rng.uniform(0.34, 0.7) * view.ground
    )
    return Spot(view, x, max(y, 46 * size) if sky else min(y, view.height - 12 * view.unit), size, scene.colour)


def _footing(spot: Spot, scene: Scene) -> None:
    """Draw what the thing stands on: an islet in water, a pond under a boat on land, else a soft shadow."""
    wet, floats = scene.place in WET, scene.thing == "boat"
    if floats and not wet:
        _patch(spot, mix(WATER, (90, 170, 210), 0.35), 1.2)
    if wet and not floats:
        _patch(spot, SAND, 1.0)
        _patch(spot, GRASS, 0.8)
    if not floats:
        radii = (40 * spot.size, 7 * spot.size)
        spot.view.canvas.soft((spot.x, spot.y), radii, (20, 24, 40), 0.35)


def _patch(spot: Spot, colour: Colour, wide: float) -> None:
    centre = (spot.x, spot.y + 2 * spot.size)
    spot.view.canvas.ellipse(centre, (48 * wide * spot.size, 10 * wide * spot.size), spot.view.shade(colour, 0.05))
