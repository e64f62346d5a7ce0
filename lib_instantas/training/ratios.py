"""Ratios of pictures, and the size of about the model's own area that stands for each."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lib_instantas.composition import own_size
from lib_instantas.settings import SettingsError
from lib_instantas.tiling import Size

PAPER = ("1:1", "3:4", "4:3", "9:16", "16:9", "5:8", "8:5", "1:2", "2:1")
"""Width to height (Any-Size-Diffusion, table 5). Its sizes are larger than the model's own; here each has its area."""

MOST = 8.0


def parse_ratio(text: str) -> float:
    """Height over width of "WIDTH:HEIGHT". Raises SettingsError unless it is between 1:8 and 8:1."""
    match = re.fullmatch(r"\s*(\d{1,4}):(\d{1,4})\s*", text)
    ratio = int(match[2]) / int(match[1]) if match and int(match[1]) else 0.0
    if not 1 / MOST <= ratio <= MOST:
        raise SettingsError(f"ratios must be like 1:4, between 1:8 and 8:1 (width to height), got {text!r}")
    return ratio


def sizes_of(ratios: Iterable[str], native: int) -> tuple[Size, ...]:
    """The different sizes (height, width in image pixels) of ratios for a model of this native side, latent pixels."""
    return tuple(dict.fromkeys(own_size(parse_ratio(ratio), native) for ratio in ratios))


def nearest_size(picture: Size, sizes: Iterable[Size]) -> Size:
    """The size whose ratio is nearest to a picture's (the paper's equation 1, with ratios compared as factors)."""
    ratio = picture[0] / picture[1]
    return min(sizes, key=lambda size: max(size[0] / size[1] / ratio, ratio * size[1] / size[0]))
