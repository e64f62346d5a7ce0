"""The names and shapes of a checkpoint's weights, read without reading the weights."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

Shape = tuple[int, ...]

LARGEST_HEADER = 100_000_000
"""Bytes; the format allows no more."""


def weight_shapes(file: Path) -> dict[str, Shape]:
    """The shape of each weight in a safetensors file by its name; empty for any other file, or one that is damaged."""
    try:
        return _read(file, file.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=8)
def _read(file: Path, changed: int) -> dict[str, Shape]:
    """A header of JSON stands in front of the weights, and eight bytes that say its length in front of it."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if file.suffix != ".safetensors" or length > LARGEST_HEADER:
            return {}
        header = opened.read(length)
    try:
        entries = json.loads(header)
    except ValueError:
        return {}
    return {name: tuple(entry["shape"]) for name, entry in entries.items() if name != "__metadata__"}
