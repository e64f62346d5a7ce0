"""The four lights of Small World: what a time of day or a weather does to the sky and to every colour."""

from dataclasses import dataclass

Colour = tuple[float, float, float]
"""Red, green and blue, 0..255."""


def mix(first: Colour, second: Colour, amount: float) -> Colour:
    """Return the colour `amount` (0..1) of the way from the first to the second."""
    r, g, b = (one + amount * (two - one) for one, two in zip(first, second, strict=True))
    return r, g, b


@dataclass(frozen=True)
class Light:
    """Sky colours from the zenith to the horizon, the tint of lit things, and haze that grows with distance."""

    sky: tuple[Colour, ...]
    tint: Colour
    haze: Colour
    near: float
    far: float
    lamps: bool = False

    def shade(self, colour: Colour, depth: float = 0.0) -> Colour:
        """Return how a colour looks at a depth between 0 (near) and 1 (at the horizon)."""
        red, green, blue = (value * tint for value, tint in zip(colour, self.tint, strict=True))
        return mix((red, green, blue), self.haze, self.near + (self.far - self.near) * depth)


LIGHTS = {
    "day": Light(
        sky=((52, 128, 222), (120, 182, 240), (206, 232, 248)),
        tint=(1.0, 1.0, 1.0),
        haze=(190, 220, 240),
        near=0.0,
        far=0.45,
    ),
    "sunset": Light(
        sky=((74, 48, 112), (206, 84, 108), (255, 176, 92)),
        tint=(0.92, 0.66, 0.62),
        haze=(236, 132, 104),
        near=0.04,
        far=0.5,
    ),
    "night": Light(
        sky=((8, 12, 38), (20, 32, 74), (48, 66, 116)),
        tint=(0.34, 0.40, 0.58),
        haze=(36, 52, 98),
        near=0.08,
        far=0.62,
        lamps=True,
    ),
    "fog": Light(
        sky=((176, 188, 196), (198, 207, 212), (216, 222, 224)),
        tint=(0.92, 0.94, 0.96),
        haze=(208, 215, 218),
        near=0.28,
        far=0.86,
    ),
}
