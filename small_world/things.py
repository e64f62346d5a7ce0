"""The eight things: houses, trees, boats, lighthouses, windmills, balloons, the sun and the moon.

Each is drawn around a `Spot`. Lengths are native pixels; a thing is about a quarter of a native picture high.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from small_world.light import Colour, mix
from small_world.view import View

PAINT: dict[str, Colour] = {
    "red": (214, 48, 44),
    "blue": (44, 92, 212),
    "yellow": (246, 206, 52),
    "green": (52, 160, 70),
    "white": (248, 248, 244),
}
LAMP: Colour = (255, 220, 130)


@dataclass(frozen=True)
class Spot:
    """Where a thing stands: x and the y of its foot (of its centre in the sky), in pixels, and its size factor."""

    view: View
    x: float
    y: float
    size: float
    colour: str | None

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the picture position of a point given in native pixels, y upwards from the foot."""
        return self.x + x * self.size, self.y - y * self.size

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon given in native pixels, lit by the view's light."""
        self.view.canvas.polygon([self.at(*point) for point in points], colour)

    def box(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        """Fill an upright rectangle given in native pixels."""
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour, flat: float = 1.0) -> None:
        """Fill a disc (an ellipse `flat` times as high) given in native pixels."""
        self.view.canvas.ellipse(self.at(x, y), (radius * self.size, radius * flat * self.size), colour)

    def paint(self, default: Colour, depth: float = 0.0) -> Colour:
        """Return the thing's own colour in the view's light, brighter than scenery so that it can be told by night."""
        colour = PAINT[self.colour] if self.colour else default
        return mix(self.view.shade(colour, depth), colour, 0.4)

    def shade(self, colour: Colour) -> Colour:
        """Return another colour of the thing in the view's light."""
        return mix(self.view.shade(colour), colour, 0.22)


def _darker(colour: Colour) -> Colour:
    return mix(colour, (20, 16, 40), 0.28)


def house(spot: Spot) -> None:
    """A gabled house; its colour is that of the walls."""
    wall = spot.paint((236, 206, 164))
    spot.box(-34, 0, 10, 36, wall)
    spot.polygon([(10, 0), (36, 0), (36, 36), (23, 58), (10, 36)], _darker(wall))
    roof = spot.shade((124, 62, 54))
    spot.polygon([(-40, 35), (-26, 62), (23, 62), (11, 35)], roof)
    spot.polygon([(9, 33), (23, 62), (26, 62), (40, 33), (36, 33), (23, 55)], _darker(roof))
    spot.box(-24, 58, -16, 72, spot.shade((150, 84, 74)))
    pane = LAMP if spot.view.light.lamps else spot.shade((70, 96, 130))
    spot.box(-28, 13, -19, 25, pane)
    spot.box(-8, 13, 1, 25, pane)
    spot.box(18, 0, 28, 22, spot.shade((92, 60, 46)))


def tree(spot: Spot) -> None:
    """A broad tree with a round crown; its colour is that of the crown."""
    trunk = spot.shade((112, 74, 48))
    spot.polygon([(-7, 0), (7, 0), (4, 34), (-4, 34)], trunk)
    spot.polygon([(-3, 22), (-18, 38), (-14, 40), (2, 28)], trunk)
    crown = spot.paint((58, 148, 60))
    low, high = _darker(crown), mix(crown, (255, 250, 200), 0.22)
    for x, y, radius, colour in ((-20, 44, 18, low), (20, 44, 18, low), (0, 42, 19, low), (-19, 50, 17, crown),
                                 (18, 51, 17, crown), (0, 60, 22, crown), (-8, 64, 13, high)):  # fmt: skip
        spot.disc(x, y, radius, colour)


def boat(spot: Spot) -> None:
    """A sailing boat; its colour is that of hull and sails."""
    sail = spot.paint((250, 246, 236))
    hull = _darker(spot.paint((150, 92, 60)))
    spot.box(-1.5, 8, 1.5, 76, spot.shade((96, 70, 52)))
    spot.polygon([(4, 16), (4, 74), (36, 18)], sail)
    spot.polygon([(-4, 16), (-4, 66), (-28, 18)], mix(sail, (60, 60, 110), 0.16))
    spot.polygon([(-36, 13), (38, 13), (27, -3), (-26, -3)], hull)
    spot.box(-35, 10, 37, 13, spot.shade((245, 240, 230)))


def lighthouse(spot: Spot) -> None:
    """A striped tower with a lamp; its colour is that of the stripes."""
    spot.disc(0, 1, 26, spot.shade((110, 106, 108)), 0.24)
    white, stripe = spot.shade((246, 244, 238)), spot.paint((206, 60, 52))
    if spot.colour == "white":
        stripe = spot.paint((0, 0, 0))

    def half(y: float) -> float:
        return 13 - 5 * y / 64

    for index, bottom in enumerate(np.linspace(0, 51.2, 5).tolist()):
        top, colour = bottom + 12.8, stripe if index % 2 == 0 else white
        spot.polygon([(-half(bottom), bottom), (half(bottom), bottom), (half(top), top), (-half(top), top)], colour)
        dark = [(0.35 * half(bottom), bottom), (half(bottom), bottom), (half(top), top), (0.35 * half(top), top)]
        spot.polygon(dark, _darker(colour))
    spot.box(-11, 63, 11, 66, spot.shade((60, 60, 70)))
    spot.box(-6.5, 66, 6.5, 77, LAMP)
    spot.polygon([(-9, 77), (9, 77), (0, 86)], spot.shade((70, 62, 70)))
    if spot.view.light.lamps:
        spot.view.canvas.soft(spot.at(0, 71), (34 * spot.size, 24 * spot.size), LAMP, 0.75)


def windmill(spot: Spot) -> None:
    """A mill with four sails; its colour is that of the tower."""
    wall = spot.paint((222, 200, 172))
    spot.polygon([(-18, 0), (18, 0), (11, 50), (-11, 50)], wall)
    spot.polygon([(6, 0), (18, 0), (11, 50), (4, 50)], _darker(wall))
    spot.polygon([(-14, 49), (14, 49), (8, 61), (-8, 61)], spot.shade((104, 66, 52)))
    spot.box(-5, 0, 5, 14, spot.shade((92, 60, 46)))
    pane = LAMP if spot.view.light.lamps else spot.shade((70, 96, 130))
    spot.box(-4, 28, 4, 36, pane)
    turn = spot.view.rng.uniform(0.15, 0.6)
    for quarter in range(4):
        _sail(spot, turn + quarter * np.pi / 2)
    spot.disc(0, 54, 4, spot.shade((70, 50, 42)))


def _sail(spot: Spot, angle: float) -> None:
    out = np.array([np.cos(angle), np.sin(angle)])
    side = np.array([-out[1], out[0]])
    hub = np.array([0.0, 54.0])

    def corner(along: float, across: float) -> tuple[float, float]:
        x, y = hub + along * out + across * side
        return float(x), float(y)

    spot.polygon([corner(9, -1.5), corner(38, -1.5), corner(38, 8.5), corner(9, 8.5)], spot.shade((244, 238, 224)))
    spot.polygon([corner(0, -2), corner(39, -2), corner(39, 0.8), corner(0, 0.8)], spot.shade((92, 66, 50)))


def balloon(spot: Spot) -> None:
    """A hot-air balloon with panels; its colour is that of the envelope."""
    base = spot.paint((234, 120, 52))
    for line in (-9, 9):
        spot.polygon([(1.6 * line, -10), (1.6 * line + 1.5, -10), (0.6 * line + 1, -36), (0.6 * line, -36)],
                     spot.shade((90, 70, 56)))  # fmt: skip
    spot.polygon([(-27, 2), (27, 2), (9, -23), (-9, -23)], base)
    spot.disc(0, 10, 29, base)
    panel = mix(base, spot.shade((255, 250, 236)), 0.6)
    for left, right in ((-17, -7), (7, 17)):
        spot.disc((left + right) / 2, 10, 5.5, panel, 4.6)
    spot.polygon([(-19, -13), (19, -13), (9, -23), (-9, -23)], _darker(base))
    spot.box(-7, -43, 7, -33, spot.shade((140, 92, 56)))


def sun(spot: Spot) -> None:
    """A disc in a wide glow."""
    fog, low = spot.view.light.near > 0.2, spot.view.light.tint[1] < 0.8
    colour: Colour = (255, 244, 196) if fog else (255, 236, 150) if low else (255, 226, 70)
    radius = 66 * spot.size
    spot.view.canvas.soft(spot.at(0, 0), (radius, radius), colour, 0.85, 1.6)
    spot.disc(0, 0, 25, colour)


def moon(spot: Spot) -> None:
    """A crescent."""
    glow = 48 * spot.size
    spot.view.canvas.soft(spot.at(0, 0), (glow, glow), (226, 232, 250), 0.35, 1.5)
    angles = np.linspace(-np.pi / 2, np.pi / 2, 24)
    outer = [(26 * float(np.cos(a)), 26 * float(np.sin(a))) for a in angles]
    inner = [(12 * float(np.cos(a)), 26 * float(np.sin(a))) for a in angles[::-1]]
    tilt = 0.5
    turned = [(x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)) for x, y in outer + inner]
    spot.polygon([(float(x) - 14, float(y) - 6) for x, y in turned], (250, 246, 222))


DRAW_THING: dict[str, Callable[[Spot], None]] = {
    "house": house,
    "tree": tree,
    "boat": boat,
    "lighthouse": lighthouse,
    "windmill": windmill,
    "balloon": balloon,
    "sun": sun,
    "moon": moon,
}
