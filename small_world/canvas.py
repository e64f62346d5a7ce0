"""A drawing surface in picture pixels: everything is drawn enlarged and averaged at the end, so edges are smooth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from small_world.light import Colour

SUPERSAMPLE = 3
Point = tuple[float, float]
"""x and y in picture pixels, from the top left corner."""


def _bytes(colour: Sequence[float]) -> tuple[int, int, int]:
    red, green, blue = (int(min(255.0, max(0.0, value)) + 0.5) for value in colour)
    return red, green, blue


class Canvas:
    """A picture of `height` x `width` pixels to draw on; coordinates are picture pixels, floats are welcome."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._image = Image.new("RGB", (width * SUPERSAMPLE, height * SUPERSAMPLE))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([(x * SUPERSAMPLE, y * SUPERSAMPLE) for x, y in points], _bytes(colour))

    def ellipse(self, centre: Point, radii: Point, colour: Colour) -> None:
        """Fill an ellipse."""
        (x, y), (a, b) = centre, radii
        box = [(x - a) * SUPERSAMPLE, (y - b) * SUPERSAMPLE, (x + a) * SUPERSAMPLE, (y + b) * SUPERSAMPLE]
        self._draw.ellipse(box, _bytes(colour))

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a line through the points."""
        scaled = [(x * SUPERSAMPLE, y * SUPERSAMPLE) for x, y in points]
        self._draw.line(scaled, _bytes(colour), max(1, round(width * SUPERSAMPLE)), joint="curve")

    def below(self, profile: NDArray[np.float64], stops: Sequence[Colour]) -> None:
        """Fill everything under a height profile (y for x = 0..width) with a gradient from its top to the bottom."""
        top = max(0, int(profile.min()))
        if top >= self.height:
            return
        rows = (self.height - top) * SUPERSAMPLE
        xs = np.linspace(0, self.width, len(profile)) * SUPERSAMPLE
        ys = (profile - top) * SUPERSAMPLE
        outline = [(0, rows), *zip(xs.tolist(), ys.tolist(), strict=True), (self._image.width, rows)]
        mask = Image.new("L", (self._image.width, rows))
        ImageDraw.Draw(mask).polygon(outline, 255)
        self._image.paste(self._gradient(stops, rows), (0, top * SUPERSAMPLE), mask)

    def band(self, top: float, bottom: float, stops: Sequence[Colour]) -> None:
        """Fill the rows from top to bottom with a vertical gradient."""
        first, last = round(top * SUPERSAMPLE), round(bottom * SUPERSAMPLE)
        if last > first:
            self._image.paste(self._gradient(stops, last - first), (0, first))

    def soft(self, centre: Point, radii: Point, colour: Colour, strength: float, power: float = 2.0) -> None:
        """Lay a soft ellipse over the picture: full strength in the middle, nothing at its rim."""
        (x, y), (a, b) = centre, radii
        height, width = max(2, round(2 * b)), max(2, round(2 * a))
        rows = np.linspace(-1, 1, height)[:, None]
        columns = np.linspace(-1, 1, width)[None, :]
        fall = np.clip(1 - rows**2 - columns**2, 0, 1) ** power
        mask = Image.fromarray((255 * strength * fall).astype(np.uint8))
        mask = mask.resize((width * SUPERSAMPLE, height * SUPERSAMPLE), Image.Resampling.BILINEAR)
        self._image.paste(_bytes(colour), (round((x - a) * SUPERSAMPLE), round((y - b) * SUPERSAMPLE)), mask)

    def finish(self) -> NDArray[np.uint8]:
        """Return the picture [height, width, 3]."""
        return np.asarray(self._image.reduce(SUPERSAMPLE))

    def _gradient(self, stops: Sequence[Colour], rows: int) -> Image.Image:
        positions = np.linspace(0, len(stops) - 1, rows)
        table = np.asarray(stops, dtype=np.float64)
        ramp = np.stack([np.interp(positions, np.arange(len(stops)), table[:, c]) for c in range(3)], -1)
        column = Image.fromarray((np.clip(ramp, 0, 255) + 0.5).astype(np.uint8)[:, None])
        return column.resize((self._image.width, rows), Image.Resampling.NEAREST)
