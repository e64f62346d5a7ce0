"""The eight places: what stands at the horizon and what lies in front of it. Lengths are native pixels."""

from collections.abc import Callable

import numpy as np

from small_world.light import Colour, mix
from small_world.view import View

WATER: Colour = (38, 108, 168)
GRASS: Colour = (104, 172, 66)
SAND: Colour = (230, 190, 122)


def _ranges(view: View, colours: list[Colour], base: float, rise: float, wavelength: float) -> None:
    """Paint ranges of hills from far to near, each lower on the picture than the one behind it."""
    for index, colour in enumerate(colours):
        part = index / max(1, len(colours) - 1)
        depth = 1 - part
        foot = view.horizon + part * base * view.ground
        profile = foot - rise * view.relief * (0.35 + 0.65 * depth) * (0.6 + 0.5 * view.hills(wavelength))
        deeper = mix(colour, (0, 0, 0), 0.12)
        view.canvas.below(profile, [view.shade(colour, depth), view.shade(deeper, 0.6 * depth)])


def meadow(view: View) -> None:
    """Rolling green hills with flowers."""
    _ranges(view, [(92, 150, 96), (112, 176, 78), (128, 192, 66), (96, 168, 56)], 0.62, 26, 130)
    for x in view.along(9):
        y = view.horizon + view.ground * view.rng.uniform(0.66, 0.98)
        colour = ((255, 236, 120), (255, 255, 255), (240, 120, 150))[view.rng.integers(3)]
        size = view.rng.uniform(1.2, 2.2) * view.unit
        view.canvas.ellipse((float(x), y), (size, size), view.shade(colour))


def mountains(view: View) -> None:
    """Two ranges of snow-capped peaks behind a green foreland."""
    for depth, height, spacing in ((0.8, 78, 62), (0.42, 56, 74)):
        order = view.rng.permutation(view.along(spacing, margin=60))
        for x in order:
            _peak(view, float(x), height * view.rng.uniform(0.65, 1.15), spacing * view.rng.uniform(0.75, 1.05), depth)
    _ranges(view, [(84, 132, 78), (110, 164, 76)], 0.35, 12, 150)


def _peak(view: View, x: float, height: float, half: float, depth: float) -> None:
    rise, half = height * view.relief, half * view.unit
    foot, top = view.horizon + 10 * view.unit, view.horizon + 4 * view.unit - rise
    lean = x + half * view.rng.uniform(-0.2, 0.2)
    lit, dark, snow = (122, 118, 140), (84, 82, 108), (248, 250, 255)
    view.canvas.polygon([(x - half, foot), (x, top), (lean, foot)], view.shade(lit, depth))
    view.canvas.polygon([(x + half, foot), (x, top), (lean, foot)], view.shade(dark, depth))
    cap, height = 0.36, foot - top
    left, right = (x - cap * half, top + cap * height), (x + cap * half, top + cap * height)
    middle = x + cap * (lean - x)
    notch = top + (cap + 0.10) * height
    view.canvas.polygon([left, (x, top), (middle, notch - 0.16 * height), (x - 0.5 * cap * half, notch)],
                        view.shade(snow, 0.6 * depth))  # fmt: skip
    view.canvas.polygon([right, (x, top), (middle, notch - 0.16 * height), (x + 0.5 * cap * half, notch)],
                        view.shade(mix(snow, (150, 165, 205), 0.5), 0.6 * depth))  # fmt: skip


def desert(view: View) -> None:
    """Dunes, each with a lit crest."""
    _ranges(view, [(206, 158, 104), (226, 180, 112), (240, 200, 130), (228, 182, 108)], 0.66, 32, 170)


def snow(view: View) -> None:
    """A white plain with small firs far away."""
    _ranges(view, [(172, 196, 226)], 0.1, 34, 120)
    for x in view.along(46):
        _fir(view, float(x), view.horizon + 3 * view.unit, view.rng.uniform(10, 17), (96, 128, 140), 0.5)
    _ranges(view, [(220, 232, 246), (236, 243, 252), (248, 251, 255)], 0.5, 14, 160)


def _fir(view: View, x: float, foot: float, height: float, colour: Colour, depth: float) -> None:
    height *= view.unit
    dark = view.shade(mix(colour, (0, 0, 0), 0.25), depth)
    for level in range(3):
        bottom = foot - 0.26 * level * height
        half, top = (0.30 - 0.06 * level) * height, bottom - 0.48 * height
        view.canvas.polygon([(x - half, bottom), (x, top), (x + half, bottom)], view.shade(colour, depth))
        view.canvas.polygon([(x + 0.1 * half, bottom), (x, top), (x + half, bottom)], dark)


def forest(view: View) -> None:
    """Rows of firs, denser and paler with distance, and a clearing in front."""
    rows = ((0.75, 78, 15, 0.0, (60, 110, 84)), (0.45, 66, 19, 0.08, (44, 98, 66)), (0.15, 52, 24, 0.2, (34, 84, 50)))
    for depth, height, spacing, base, colour in rows:
        foot = view.horizon + base * view.ground
        view.canvas.below(np.full(2, foot - 6 * view.unit), [view.shade(colour, depth)] * 2)
        for x in view.along(spacing, margin=20):
            tall = height * view.relief / view.unit * view.rng.uniform(0.7, 1.1)
            _fir(view, float(x), foot, tall, colour, depth)
    profile = view.horizon + 0.27 * view.ground + 3 * view.unit * view.hills(90)
    view.canvas.below(profile, [view.shade((78, 128, 62)), view.shade((96, 146, 66))])


def city(view: View) -> None:
    """Two rows of buildings with windows, lit by night, behind a paved square."""
    view.canvas.below(np.full(2, view.horizon - 1), [view.shade((120, 122, 132), 0.5)] * 2)
    for depth, height, spacing, colour in ((0.75, 84, 30, (112, 124, 150)), (0.3, 54, 38, (126, 112, 118))):
        for x in view.along(spacing, margin=30):
            _building(view, float(x), height * view.rng.uniform(0.55, 1.15), spacing, colour, depth)
    paving: Colour = (150, 148, 150)
    view.canvas.below(np.full(2, view.horizon + 6 * view.unit),
                      [view.shade(mix(paving, (0, 0, 0), 0.25)), view.shade(paving)])  # fmt: skip
    for part in (0.22, 0.5, 0.86):
        y = view.horizon + part * view.ground
        view.canvas.rectangle(0, y, view.width, y + (1 + 2 * part) * view.unit, view.shade((198, 196, 192)))


def _building(view: View, x: float, height: float, spacing: float, colour: Colour, depth: float) -> None:
    half, top = 0.42 * spacing * view.unit * view.rng.uniform(0.8, 1.15), view.horizon - height * view.relief
    wall = mix(colour, (210, 190, 176), view.rng.uniform(0, 0.5))
    view.canvas.rectangle(x - half, top, x + half, view.horizon + 7 * view.unit, view.shade(wall, depth))
    view.canvas.rectangle(x + 0.5 * half, top, x + half, view.horizon + 7 * view.unit,
                          view.shade(mix(wall, (0, 0, 0), 0.2), depth))  # fmt: skip
    lamp: Colour = (255, 214, 120)
    dark = view.shade(mix(wall, (40, 60, 90), 0.6), depth)
    step = 9 * view.unit
    for y in np.arange(top + 5 * view.unit, view.horizon - 4 * view.unit, step):
        for column in np.arange(x - half + 3.5 * view.unit, x + half - 4 * view.unit, 8 * view.unit):
            lit = view.light.lamps and view.rng.random() < 0.6
            colour = mix(lamp, view.light.haze, 0.4 * depth) if lit else dark
            view.canvas.rectangle(column, y, column + 4 * view.unit, y + 5 * view.unit, colour)


def sea(view: View) -> None:
    """Open water to the lower border."""
    _water(view, view.horizon, 30)


def _water(view: View, top: float, glints: float) -> None:
    reflected = mix(WATER, view.light.sky[-1], 0.55 if view.light.tint[0] == 1 else 0.35)
    view.canvas.band(top, view.height, [view.shade(reflected, 0.5), view.shade(WATER, 0.15),
                                        view.shade(mix(WATER, (0, 20, 60), 0.35), 0.05)])  # fmt: skip
    bright = mix(view.shade(WATER, 0.1), view.light.sky[-1], 0.5)
    depth = view.height - top
    for _ in range(int(glints * view.width * depth / (256 * 100 * view.unit**2))):
        part = view.rng.random()
        y, half = top + depth * (0.06 + 0.92 * part), (5 + 16 * part) * view.unit * view.rng.uniform(0.6, 1.2)
        x = view.rng.uniform(-half, view.width + half)
        view.canvas.ellipse((x, y), (half, (0.5 + 0.9 * part) * view.unit), bright)


def harbour(view: View) -> None:
    """A row of gabled houses along the water, and a wooden pier in front."""
    quay = view.horizon + 8 * view.unit
    _ranges(view, [(110, 150, 120)], 0.1, 40, 140)
    for x in view.along(21, margin=20):
        _town_house(view, float(x), quay - 5 * view.unit)
    view.canvas.rectangle(0, quay - 6 * view.unit, view.width, quay, view.shade((150, 140, 130), 0.3))
    _water(view, quay, 22)
    _pier(view)


def _town_house(view: View, x: float, foot: float) -> None:
    walls: tuple[Colour, ...] = ((226, 130, 96), (240, 206, 140), (150, 184, 200), (236, 228, 212), (206, 110, 104))
    half, height = 9.5 * view.unit, view.rng.uniform(20, 32) * view.unit
    wall = view.shade(walls[view.rng.integers(len(walls))], 0.35)
    roof = view.shade((140, 76, 62), 0.35)
    view.canvas.rectangle(x - half, foot - height, x + half, foot + view.unit, wall)
    view.canvas.polygon(
        [(x - half, foot - height), (x, foot - height - 9 * view.unit), (x + half, foot - height)], roof
    )
    pane: Colour = (255, 214, 120) if view.light.lamps else view.shade((74, 88, 110), 0.35)
    for y in np.arange(foot - height + 4 * view.unit, foot - 6 * view.unit, 9 * view.unit):
        for offset in (-5.5, 1.5):
            left = x + offset * view.unit
            view.canvas.rectangle(left, y, left + 4 * view.unit, y + 5 * view.unit, pane)


def _pier(view: View) -> None:
    top = view.height - 0.16 * view.ground
    plank: Colour = (150, 106, 72)
    for x in view.along(48, margin=10):
        view.canvas.rectangle(float(x) - 3 * view.unit, top - 9 * view.unit, float(x) + 3 * view.unit, view.height,
                              view.shade(mix(plank, (0, 0, 0), 0.35)))  # fmt: skip
    view.canvas.band(top, view.height, [view.shade(plank), view.shade(mix(plank, (0, 0, 0), 0.15))])
    view.canvas.rectangle(0, top + 0.45 * (view.height - top), view.width, top + 0.55 * (view.height - top),
                          view.shade(mix(plank, (0, 0, 0), 0.3)))  # fmt: skip


DRAW_PLACE: dict[str, Callable[[View], None]] = {
    "meadow": meadow,
    "mountains": mountains,
    "desert": desert,
    "sea": sea,
    "forest": forest,
    "city": city,
    "harbour": harbour,
    "snow": snow,
}
WET = ("sea", "harbour")
