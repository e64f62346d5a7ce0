"""The size of a picture: to the exact pixel, and what a very large one cannot be.

It is made on the next multiple of 8 and cropped centrally before anybody sees it, or shrunk to it along an axis that is
closed on itself, where a crop would cut the place at which both ends meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modules import shared
from PIL import Image

from lib_instantas.hosts.enlarging import finished
from lib_instantas.settings import LARGEST_SIDE, Settings, SettingsError
from lib_instantas.texts import messages
from lib_instantas.tiling import LATENT_SCALE, Size, round_up

SIZE_KEY = "Size"
"""The host's own entry for the picture's size; what a script adds under this name stands in its place."""

LARGEST_BY_FORMAT = {"webp": 16_383, "jpg": 65_535, "jpeg": 65_535}
"""Longest side in pixels that a file format can hold."""

PREVIEW_SCALE = {"Full": 1, "TAESD": 1, "Approx NN": 8, "Approx cheap": 8}
"""Picture pixels per pixel of a live preview, by the host's method."""

LARGE_PREVIEW = 4096 * 4096
"""Pixels from which on a live preview takes long and much memory: every one is decoded, packed and sent to the page."""


def apply_own_size(p: Any, settings: Settings, upscaled: Size | None = None) -> None:
    """Give `p` the size of the settings, rounded up to whole latents; metadata name the exact one.

    `upscaled` is the (height, width) in image pixels that a given picture is enlarged to, if it is.
    """
    largest = getattr(shared.cmd_opts, "instantas_max_side", LARGEST_SIDE)
    for name in ("width", "height"):
        if getattr(settings, name) > largest:
            value = getattr(settings, name)
            raise SettingsError(messages.ON_THIS_SERVER(name=name, largest=largest, value=value))
    height, width = upscaled or (settings.height or p.height, settings.width or p.width)
    p.width, p.height = round_up(width, LATENT_SCALE), round_up(height, LATENT_SCALE)
    p.extra_generation_params.pop(SIZE_KEY, None)
    height, width = upscaled or tuple(round(settings.upscale_by * side) for side in final_size(p))
    if settings.upscale_by != 1 and max(height, width) > largest:
        shown = f"{width}x{height}"
        raise SettingsError(messages.UPSCALED_TOO_LARGE(largest=largest, value=settings.upscale_by, size=shown))


def own_size_text(p: Any, settings: Settings, finished: Size | None = None) -> dict[str, str]:
    """What the metadata have to say of the size; nothing where the host's own entry is right.

    `finished` is the size (height, width) of a picture that the host does not know to be its last stage.
    """
    height, width = finished or (settings.height or p.height, settings.width or p.width)
    if (width, height) == (p.width, p.height) or pastes_into_original(p):
        return {}
    return {SIZE_KEY: f"{width}x{height}"}


def pastes_into_original(p: Any) -> bool:
    """Whether only the masked part of a given picture is inpainted, and what is made goes back into it."""
    return bool(getattr(p, "inpaint_full_res", False) and getattr(p, "image_mask", None))


def exact_size(p: Any, settings: Settings) -> Size | None:
    """(height, width) the finished picture has to have, or None where the host's own size is the right one.

    Inpainting "only masked" pastes what was made into the original, whose size stays; a hires pass with a target
    size of its own has been told what to make.
    """
    if not (settings.width or settings.height) or getattr(p, "paste_to", None):
        return None
    if getattr(p, "enable_hr", False) and (p.hr_resize_x or p.hr_resize_y):
        return None
    scale = p.hr_scale if getattr(p, "enable_hr", False) else 1
    return int((settings.height or p.height) * scale), int((settings.width or p.width) * scale)


def final_size(p: Any) -> Size:
    """(height, width) in image pixels of the picture that the host will make."""
    if not getattr(p, "enable_hr", False):
        return p.height, p.width
    return hires_size((p.height, p.width), p.hr_scale, (p.hr_resize_y, p.hr_resize_x))


def hires_size(size: Size, scale: float, target: Size) -> Size:
    """(height, width) of a hires pass over a picture of this size: its target, a side of 0 following, or a multiple."""
    if not any(target):
        return int(size[0] * scale), int(size[1] * scale)
    height, width = target
    return height or width * size[0] // size[1], width or height * size[1] // size[0]


def cropped(
    image: Image.Image, exact: Size | None, slack: int, closed: tuple[bool, bool] = (False, False)
) -> Image.Image:
    """The middle of a picture on each axis where it is at most `slack` pixels larger than it should be.

    An axis (vertical, horizontal) that is `closed` is shrunk instead, so that its ends still meet.
    """
    size = image.height, image.width
    height, width = (
        want if 0 <= have - want <= slack else have for have, want in zip(size, exact or size, strict=True)
    )
    return image if (height, width) == size else finished(image, (height, width), closed)


def slack_of(p: Any) -> int:
    """By how many pixels a picture of `p` may be larger than asked for, from rounding to whole latents."""
    return round(LATENT_SCALE * (p.hr_scale if getattr(p, "enable_hr", False) else 1))


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
        yield messages.TOO_LARGE_TO_OPEN(pixels=openable)
    yield from _preview_warnings(size, output)


def _format_warnings(size: Size, file_format: str) -> Iterator[str]:
    largest = LARGEST_BY_FORMAT.get(file_format.lower())
    if largest and max(size) > largest:
        yield messages.TOO_LARGE_A_FILE(format=file_format, side=largest)


def _preview_warnings(size: Size, output: Output) -> Iterator[str]:
    if output.preview_method is None:
        return
    scale = PREVIEW_SCALE.get(output.preview_method, 1)
    shown = size[0] // scale, size[1] // scale
    largest = LARGEST_BY_FORMAT.get(output.preview_format.lower())
    if largest and max(shown) > largest:
        yield messages.TOO_LARGE_A_PREVIEW(format=output.preview_format, side=largest)
    if shown[0] * shown[1] >= LARGE_PREVIEW:
        gigabytes = shown[0] * shown[1] * 3 * 4 / 1e9
        yield messages.COSTLY_PREVIEW(method=output.preview_method, gigabytes=gigabytes)
