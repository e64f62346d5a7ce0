"""Squares cut from scenes larger than the model's own size.

Models learn from photographs of all kinds, close-ups among them; a picture is then finished tile by tile from a small
one of the whole without each tile becoming a scene of its own. So Small World learns such squares too: a piece of sky,
of forest, of a beach, with the caption of the whole scene, whether its thing lies in the square or not.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from small_world.renderer import centre_of, render
from small_world.scene import Scene, random_scene

SIDE = 256
EACH = 4
"""Squares of one drawn scene."""
FIRST_SEED = 3 * 10**6
"""Of the scenes that squares are cut from: none of them is seen as a whole."""

KINDS = (
    ((1024, 256), 1.0), ((1024, 256), 1.0), ((512, 256), 1.0), ((256, 1024), 1.0),
    ((512, 512), 1.0), ((512, 512), 2.0), ((512, 1024), 2.0), ((1024, 512), 2.0),
)  # fmt: skip
"""Height and width of scenes in pixels, and how many pixels a native one may become: 2 is a scene seen from nearer.
Tall ones are in the majority, because the model's own pictures say least about them."""

Centre = tuple[float, float]


@dataclass(frozen=True)
class Crop:
    """A square of SIDE pixels whose corner is (top, left), in pixels of a scene drawn at a size (height, width)."""

    scene: Scene
    size: tuple[int, int]
    closest: float
    top: int
    left: int

    @property
    def centre(self) -> Centre | None:
        """Where the scene's thing is in the square (x, y in pixels, maybe beside it), if it has one."""
        centre = centre_of(self.scene, self.size, self.closest)
        return None if centre is None else (centre[0] - self.left, centre[1] - self.top)


def crop(number: int) -> Crop:
    """Return the square of a number: each EACH of them come from one scene, at random places."""
    seed = FIRST_SEED + number // EACH
    scene = random_scene(seed)
    size, closest = random.Random(f"{seed}/size").choice(KINDS)
    rng = random.Random(f"{seed}/{number}")
    top, left = (rng.randrange(0, length - SIDE + 1, 8) for length in size)
    return Crop(scene, size, closest, top, left)


def draw(first: int, last: int) -> NDArray[np.uint8]:
    """Return the squares from one number to before another as pictures [squares, SIDE, SIDE, 3]."""
    squares: list[NDArray[np.uint8]] = []
    drawn: tuple[object, NDArray[np.uint8]] | None = None
    for number in range(first, last):
        one = crop(number)
        what = (one.scene, one.size)
        if drawn is None or drawn[0] != what:
            drawn = what, render(one.scene, one.size, one.closest).pixels
        squares.append(drawn[1][one.top : one.top + SIDE, one.left : one.left + SIDE])
    return np.stack(squares)
