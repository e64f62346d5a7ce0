"""Where things stand in a picture of any size: the horizon, the unit of length, and the source of randomness."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from small_world.canvas import Canvas
from small_world.light import Colour, Light

NATIVE_HEIGHT = 256


@dataclass(frozen=True)
class View:
    """A canvas with its light and geometry.

    `unit` is the length of one native pixel: a tree is as large on a panorama as on a native picture, and
    smaller only where the canvas is. Tall canvases get most of their height as sky; ground and relief grow
    with the square root of the height.
    """

    canvas: Canvas
    light: Light
    rng: np.random.Generator
    horizon: float
    unit: float
    relief: float

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.canvas.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.canvas.height

    @property
    def ground(self) -> float:
        """Height of the ground in pixels, from the horizon to the lower border."""
        return self.height - self.horizon

    def shade(self, colour: Colour, depth: float = 0.0) -> Colour:
        """Return the colour in this light at a depth (0 near, 1 at the horizon)."""
        return self.light.shade(colour, depth)

    def hills(self, wavelength: float, octaves: int = 3) -> NDArray[np.float64]:
        """Return smooth noise within about -1..1 for each pixel column; wavelength in native pixels."""
        total = np.zeros(self.width + 1)
        for octave in range(octaves):
            total += 0.45**octave * self._noise(wavelength * self.unit / 2**octave)
        return total

    def _noise(self, wavelength: float) -> NDArray[np.float64]:
        position = np.arange(self.width + 1) / wavelength + self.rng.random()
        lattice = self.rng.uniform(-1, 1, int(position[-1]) + 2)
        cell = position.astype(int)
        part = position - cell
        smooth = part * part * (3 - 2 * part)
        return lattice[cell] * (1 - smooth) + lattice[cell + 1] * smooth

    def along(self, spacing: float, margin: float = 0.0) -> NDArray[np.float64]:
        """Return jittered positions across the picture, on average `spacing` native pixels apart."""
        step = spacing * self.unit
        count = int((self.width + 2 * margin * self.unit) / step) + 2
        jitter = self.rng.uniform(-0.35, 0.35, count)
        return (np.arange(count) + jitter) * step - margin * self.unit - self.rng.uniform(0, step)


def view_of(height: int, width: int, light: Light, rng: np.random.Generator, closest: float = 1.0) -> View:
    """Return the view for a canvas of this size in pixels; the rng chooses the height of the horizon.

    `closest` is the greatest length that a native pixel may have.
    """
    unit = min(closest, height / NATIVE_HEIGHT, width / NATIVE_HEIGHT)
    relief = (height / (NATIVE_HEIGHT * unit)) ** 0.5 * unit
    horizon = height - rng.uniform(0.34, 0.46) * NATIVE_HEIGHT * relief
    return View(Canvas(height, width), light, rng, horizon, unit, relief)
