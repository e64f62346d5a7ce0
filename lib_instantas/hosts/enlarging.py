"""What enlarges the first of two stages on a diffusers pipeline: the picture, or its latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lib_instantas.errors import SettingsError
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

    top, left, height, width = _central((picture.height, picture.width), size, closed)
    reach = [REACH if wraps else 0 for wraps in closed]
    pixels = np.pad(np.asarray(picture.convert("RGB")), [(n, n) for n in reach] + [(0, 0)], mode="wrap")
    box = (left + reach[1], top + reach[0], left + reach[1] + width, top + reach[0] + height)
    return Pillow.fromarray(pixels).resize((size[1], size[0]), Pillow.Resampling[FILTERS[name]], box)


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
