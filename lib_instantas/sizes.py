"""Sizes as people write them, and the canvas of latents that holds them."""

from __future__ import annotations

import re

from lib_instantas.settings import LARGEST_SIDE, SettingsError
from lib_instantas.tiling import LATENT_SCALE, Size, round_up


def parse_size(text: str) -> Size:
    """(height, width) in image pixels from "WIDTHxHEIGHT", the way pictures are named.

    Raises SettingsError unless both are whole numbers from 64 to 32768.
    """
    match = re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})", text.strip())
    if not match:
        raise SettingsError(f"size must be WIDTHxHEIGHT in pixels, such as 2048x512, got {text!r}")
    size = int(match[2]), int(match[1])
    check_size(size)
    return size


def check_size(size: Size) -> None:
    """Raises SettingsError unless both sides, in image pixels, are from 64 to 32768."""
    if not all(64 <= side <= LARGEST_SIDE for side in size):
        shown = f"{size[1]}x{size[0]}"
        raise SettingsError(f"size must be between 64 and {LARGEST_SIDE} pixels on each side, got {shown}")


def canvas_for(size: Size) -> Size:
    """The canvas in latent pixels that holds a picture of this many image pixels, rounded up."""
    height, width = (round_up(side, LATENT_SCALE) // LATENT_SCALE for side in size)
    return height, width


def central_crop(size: Size, wanted: Size) -> tuple[int, int, int, int]:
    """The (left, top, right, bottom) box that takes `wanted` image pixels from the middle of `size`."""
    top, left = ((have - want) // 2 for have, want in zip(size, wanted, strict=True))
    return left, top, left + wanted[1], top + wanted[0]
