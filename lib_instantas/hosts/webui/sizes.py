"""Pictures to the exact pixel: made on the next multiple of 8, cropped centrally before anybody sees them."""

from __future__ import annotations

from typing import Any

from modules import shared
from PIL.Image import Image

from lib_instantas.settings import LARGEST_SIDE, Settings, SettingsError
from lib_instantas.sizes import central_crop
from lib_instantas.tiling import LATENT_SCALE, Size, round_up

SIZE_KEY = "Size"
"""The host's own entry for the picture's size; what a script adds under this name stands in its place."""


def apply_own_size(p: Any, settings: Settings) -> None:
    """Give `p` the size of the settings, rounded up to whole latents; metadata name the exact one."""
    largest = getattr(shared.cmd_opts, "instantas_max_side", LARGEST_SIDE)
    for name in ("width", "height"):
        if getattr(settings, name) > largest:
            raise SettingsError(f"{name} must be at most {largest} on this server, got {getattr(settings, name)}")
    p.width = round_up(settings.width or p.width, LATENT_SCALE)
    p.height = round_up(settings.height or p.height, LATENT_SCALE)
    exact = settings.width or p.width, settings.height or p.height
    if exact == (p.width, p.height) or _pastes_into_original(p):
        forget_own_size(p)
    else:
        p.extra_generation_params[SIZE_KEY] = f"{exact[0]}x{exact[1]}"


def forget_own_size(p: Any) -> None:
    """Leave the size in the metadata to the host."""
    p.extra_generation_params.pop(SIZE_KEY, None)


def _pastes_into_original(p: Any) -> bool:
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


def final_size(p: Any, settings: Settings) -> Size:
    """(height, width) in image pixels of the picture that will be saved."""
    exact = exact_size(p, settings)
    if exact is not None:
        return exact
    if not getattr(p, "enable_hr", False):
        return p.height, p.width
    if p.hr_resize_x or p.hr_resize_y:
        return (
            p.hr_resize_y or p.hr_resize_x * p.height // p.width,
            p.hr_resize_x or p.hr_resize_y * p.width // p.height,
        )
    return int(p.height * p.hr_scale), int(p.width * p.hr_scale)


def cropped(image: Image, exact: Size | None, slack: int) -> Image:
    """The middle of a picture on each axis where it is at most `slack` pixels larger than it should be."""
    size = image.height, image.width
    height, width = (
        want if 0 <= have - want <= slack else have for have, want in zip(size, exact or size, strict=True)
    )
    return image if (height, width) == size else image.crop(central_crop(size, (height, width)))


def slack_of(p: Any) -> int:
    """By how many pixels a picture of `p` may be larger than asked for, from rounding to whole latents."""
    return round(LATENT_SCALE * (p.hr_scale if getattr(p, "enable_hr", False) else 1))
