"""The sky: gradient, stars by night, clouds by day and at sunset."""

from small_world.light import Colour, mix
from small_world.view import View

WHITE: Colour = (255, 255, 255)


def draw_sky(view: View) -> None:
    """Paint the sky of the view's light over the rows above the horizon."""
    view.canvas.band(0, view.horizon + 2, view.light.sky)
    if view.light.lamps:
        _stars(view)
    elif view.light.far < 0.8:
        _clouds(view)


def _stars(view: View) -> None:
    area = view.horizon * view.width / (256 * 150 * view.unit**2)
    for _ in range(view.rng.poisson(22 * area)):
        x, y = view.rng.uniform(0, view.width), view.rng.uniform(0, 0.85 * view.horizon)
        size = view.rng.uniform(0.5, 1.15) * view.unit
        view.canvas.ellipse((x, y), (size, size), mix((150, 165, 210), WHITE, view.rng.random()))


def _clouds(view: View) -> None:
    colour = mix(WHITE, view.light.haze, 0.05 if view.light.tint[1] == 1 else 0.75)
    for x in view.along(150, margin=60):
        for y in view.along(110)[: 1 + int(view.horizon / (200 * view.unit))]:
            top = 0.12 * view.horizon + abs(float(y)) % (0.5 * view.horizon)
            if view.rng.random() < 0.55:
                _cloud(view, float(x), top, colour)


def _cloud(view: View, x: float, y: float, colour: Colour) -> None:
    length = view.rng.uniform(22, 44) * view.unit
    for part in range(5):
        offset = (part - 2) / 2.5
        radius = (0.62 - 0.22 * abs(offset)) * length
        centre = (x + offset * length, y - 0.10 * length * (1 - abs(offset)) * view.rng.uniform(0.2, 1.6))
        view.canvas.soft(centre, (radius, 0.42 * radius), colour, 0.8, 0.9)
