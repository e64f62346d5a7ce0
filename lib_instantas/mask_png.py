"""Grey-scale masks as small PNG files in base64, read with care: they come from outside."""

from __future__ import annotations

import base64
import binascii
import io
import struct
import zlib

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from lib_instantas.texts import messages

MAX_MASK_SIDE = 1024
MAX_MASK_BYTES = 512 * 1024
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
DATA_URL = "data:image/png;base64,"


def mask_from_base64(text: str) -> Tensor:
    """The mask in a base64 PNG, [h, w] in 0..1, white is 1; transparency counts as black.

    Raises ValueError, worded to follow the name of the setting, for anything that is not such a file or too large.
    The size in the file's header is checked before anything is unpacked, so a compressed bomb never grows.
    """
    encoded = text.removeprefix(DATA_URL)
    if len(encoded) > MAX_MASK_BYTES * 4 // 3 + 4:
        raise ValueError(messages.PNG_TOO_LARGE(most=MAX_MASK_BYTES, value=len(encoded) * 3 // 4))
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(messages.MUST_BE_BASE64()) from None
    return _decode(data)


def _decode(data: bytes) -> Tensor:
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            _check_header(image)
            grey = _greyscale(image)
    except Image.DecompressionBombError:
        raise ValueError(messages.PICTURE_TOO_LONG(most=MAX_MASK_SIDE)) from None
    except (UnidentifiedImageError, OSError, SyntaxError, struct.error, zlib.error):
        raise ValueError(messages.MUST_BE_A_PNG()) from None
    return torch.from_numpy(np.array(grey, dtype=np.float32) / 255)


def _check_header(image: Image.Image) -> None:
    if max(image.size) > MAX_MASK_SIDE:
        raise ValueError(messages.PICTURE_TOO_WIDE(most=MAX_MASK_SIDE, size=f"{image.width}x{image.height}"))
    if image.mode not in MODES:
        raise ValueError(messages.PNG_MODE(mode=image.mode))


def _greyscale(image: Image.Image) -> Image.Image:
    if image.mode in ("1", "L", "RGB"):
        return image.convert("L")
    layered = image.convert("RGBA")
    black = Image.new("RGBA", layered.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, layered).convert("L")


def mask_to_base64(values: Tensor) -> str:
    """A mask [h, w] in 0..1 as an 8-bit greyscale PNG in base64."""
    levels = (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(levels).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
