"""Composition comes first: how large a picture the model composes as one, before tiles give it its details.

Any-Size-Diffusion (Zheng et al. 2023, section 3): a picture of the model's own area and the final ratio, enlarged, is
the first stage of one of any size. What tiles lack is the whole; this is where it comes from.
"""

from __future__ import annotations

import math

from lib_instantas.tiling import LATENT_SCALE, Size

STEP, SMALL_STEP = 64, 32
"""Image pixels that the sides of the first picture are multiples of: what UNets halve without a remainder.

Models of less than 512 pixels have fewer levels, and 64 would be a rough step: 256x2048 would become 64x704.
"""

USUAL_NATIVE = 64
"""Native side, in latent pixels, from which on a model has the usual four levels."""

WORTHWHILE = 1.5
"""How many times the model's own area a picture must have for a first, smaller one to be made."""


def first_size(size: Size, native: int) -> Size | None:
    """(height, width) in image pixels of the picture that is composed first; None where `size` is small enough itself.

    It has the model's own area, `native` latent pixels squared, and the ratio of `size` as nearly as steps of 64 pixels
    allow (32 for small models).
    """
    own_side = native * LATENT_SCALE
    if size[0] * size[1] <= WORTHWHILE * own_side**2:
        return None
    height, width = own_size(size[0] / size[1], native)
    return min(height, size[0]), min(width, size[1])


def own_size(ratio: float, native: int) -> Size:
    """(height, width) in image pixels of about the model's own area and a ratio of height to width."""
    side, root = native * LATENT_SCALE, math.sqrt(ratio)
    step = STEP if native >= USUAL_NATIVE else SMALL_STEP
    height, width = (max(step, round(length / step) * step) for length in (side * root, side / root))
    return height, width


def second_steps(steps: int, strength: float) -> int:
    """How many of a sampler's steps the second stage makes, at the end of its schedule."""
    return max(1, round(strength * steps))


def schedule_steps(made: int, strength: float) -> int:
    """The steps of the schedule of which the second stage makes the last `made`, so that it begins at the strength."""
    return max(made, round(made / strength))
