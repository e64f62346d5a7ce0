"""What a very large picture cannot be: saved in a format, opened again, previewed. Said before the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from lib_instantas.tiling import Size

LARGEST_BY_FORMAT = {"webp": 16_383, "jpg": 65_535, "jpeg": 65_535}
"""Longest side in pixels that a file format can hold."""

PREVIEW_SCALE = {"Full": 1, "TAESD": 1, "Approx NN": 8, "Approx cheap": 8}
"""Picture pixels per pixel of a live preview, by the host's method."""

LARGE_PREVIEW = 4096 * 4096
"""Pixels from which on a live preview takes long and much memory: every one is decoded, packed and sent to the page."""


@dataclass(frozen=True)
class Output:
    """Where a picture goes: the format of its file; method and format of live previews, None where there are none."""

    file_format: str = "png"
    preview_method: str | None = None
    preview_format: str = "png"


def size_warnings(size: Size, output: Output) -> Iterator[str]:
    """What will go wrong with a picture of (height, width) pixels, one sentence each."""
    yield from _format_warnings(size, output.file_format)
    openable = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else None
    if openable and size[0] * size[1] > openable:
        yield f"pictures of more than {openable} pixels cannot be opened again here (Pillow takes them for an attack)"
    yield from _preview_warnings(size, output)


def _format_warnings(size: Size, file_format: str) -> Iterator[str]:
    largest = LARGEST_BY_FORMAT.get(file_format.lower())
    if largest and max(size) > largest:
        yield f"{file_format} files hold at most {largest} pixels a side: choose png to save this picture"


def _preview_warnings(size: Size, output: Output) -> Iterator[str]:
    if output.preview_method is None:
        return
    scale = PREVIEW_SCALE.get(output.preview_method, 1)
    shown = size[0] // scale, size[1] // scale
    largest = LARGEST_BY_FORMAT.get(output.preview_format.lower())
    if largest and max(shown) > largest:
        yield f"live previews in {output.preview_format} hold at most {largest} pixels a side: choose another format"
    if shown[0] * shown[1] >= LARGE_PREVIEW:
        gigabytes = shown[0] * shown[1] * 3 * 4 / 1e9
        yield (
            f"each live preview by the method {output.preview_method} takes {gigabytes:.1f} GB for its pixels alone: "
            "choose Approx NN or Approx cheap"
        )
