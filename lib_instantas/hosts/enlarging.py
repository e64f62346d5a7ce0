"""What enlarges the first of two stages on a diffusers pipeline: the picture, or its latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lib_instantas.errors import SettingsError
from lib_instantas.sizes import central_crop
from lib_instantas.tiling import Size

if TYPE_CHECKING:
    from PIL.Image import Image

FILTERS = {"Lanczos": "LANCZOS", "Nearest": "NEAREST"}
"""The WebUI's names for what enlarges pictures, each as Pillow's."""

LATENT_MODES = {"Latent": "bilinear", "Latent (bicubic)": "bicubic", "Latent (nearest)": "nearest"}
"""The WebUI's names for what enlarges latents, each as torch's: quicker, and blurred or with grain."""

UPSCALERS = (*FILTERS, *LATENT_MODES)

REACH = 8
"""Pixels that a filter may see beyond the border of a picture that is closed on itself."""


def check_upscaler(name: str) -> None:
    """Raises SettingsError unless there is such an upscaler."""
    if name not in UPSCALERS:
        raise SettingsError(f"compose_upscaler must be one of {', '.join(UPSCALERS)}, got {name!r}")


def enlarges_latents(name: str) -> bool:
    """Whether an upscaler works on latents, so that the first stage need not be decoded."""
    return name in LATENT_MODES


def enlarged_picture(picture: Image, size: Size, name: str, closed: tuple[bool, bool] = (False, False)) -> Image:
    """The picture at `size` (height, width in image pixels), cropped in the middle where the ratios differ.

    An axis (vertical, horizontal) that is `closed` is not cropped but stretched, and its opposite borders still meet.
    """
    from PIL import Image as Pillow

    part = _central((picture.height, picture.width), size, closed)
    return _resized(picture.convert("RGB"), size, part, closed, Pillow.Resampling[FILTERS[name]])


def finished(picture: Image, size: Size, closed: tuple[bool, bool]) -> Image:
    """A picture of any mode, made on whole latents, at its exact `size` (height, width).

    An open axis (vertical, horizontal) is cropped in the middle; one that is `closed` is shrunk by Lanczos, which sees
    the other end beyond its border: a crop would cut the place at which both ends meet.
    """
    from PIL import Image as Pillow

    have = picture.height, picture.width
    ring = size[0] if closed[0] else have[0], size[1] if closed[1] else have[1]
    if ring != have:
        picture = _resized(picture, ring, (0, 0, *have), closed, Pillow.Resampling.LANCZOS)
    return picture if ring == size else picture.crop(central_crop(ring, size))


def _resized(
    picture: Image, size: Size, part: tuple[float, float, float, float], closed: tuple[bool, bool], resampling: Any
) -> Image:
    """The part (top, left, height, width) at `size`; an axis that is `closed` goes on beyond its border."""
    from PIL import Image as Pillow

    top, left, height, width = part
    reach = [REACH if wraps else 0 for wraps in closed]
    pixels = np.asarray(picture)
    padded = np.pad(pixels, [(n, n) for n in reach] + [(0, 0)] * (pixels.ndim - 2), mode="wrap")
    box = (left + reach[1], top + reach[0], left + reach[1] + width, top + reach[0] + height)
    return Pillow.fromarray(padded, picture.mode).resize((size[1], size[0]), resampling, box)


def enlarged_latents(latents: Tensor, canvas: Size, name: str, closed: tuple[bool, bool] = (False, False)) -> Tensor:
    """Latents [B, C, h, w] at `canvas` (height, width), cropped in the middle as pictures are."""
    top, left, height, width = (round(edge) for edge in _central((*latents.shape[-2:],), canvas, closed))
    inside = latents[..., top : top + height, left : left + width]
    return torch.nn.functional.interpolate(inside.float(), canvas, mode=LATENT_MODES[name]).to(latents)


def _central(have: Size, wanted: Size, closed: tuple[bool, bool]) -> tuple[float, float, float, float]:
    """(top, left, height, width) of the largest middle part with the wanted ratio."""
    scale = max(want / side for want, side in zip(wanted, have, strict=True))
    height, width = (
        side if wraps else min(side, want / scale) for side, want, wraps in zip(have, wanted, closed, strict=True)
    )
    return (have[0] - height) / 2, (have[1] - width) / 2, height, width
