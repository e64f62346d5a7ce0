"""What tiles are aligned with: a seed's noise, or a picture carried as text, so that infotext holds all of it."""

from __future__ import annotations

import base64
import binascii
import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from lib_instantas.texts import messages

if TYPE_CHECKING:
    from lib_instantas.tiling import Size

DATA_URL = "data:image/webp;base64,"
FORMATS = {"data:image/png;base64,": "PNG", "data:image/jpeg;base64,": "JPEG", DATA_URL: "WEBP"}

STORED_SIDE = 256
"""Longest side of a stored picture, image pixels: under the noise of a first step no finer detail is left."""

MAX_SIDE, MAX_BYTES, MAX_SEED = 4096, 4 * 1024 * 1024, 2**63 - 1


@dataclass(frozen=True)
class StyleReference:
    """A seed, a picture, or neither: then the picture's own seed."""

    seed: int | None = None
    picture: Image.Image | None = None


def parse_reference(text: str) -> StyleReference:
    """What the text of the setting names: "" the picture's own seed, a whole number, or a picture as a data URL.

    Raises ValueError, worded to follow the name of the setting.
    """
    text = text.strip()
    if not text:
        return StyleReference()
    if text.isdecimal() and int(text) <= MAX_SEED:
        return StyleReference(seed=int(text))
    for prefix, format_ in FORMATS.items():
        if text.startswith(prefix):
            return StyleReference(picture=_decode(text.removeprefix(prefix), format_))
    raise ValueError(messages.MUST_BE_A_REFERENCE())


def _decode(encoded: str, format_: str) -> Image.Image:
    if len(encoded) > MAX_BYTES * 4 // 3 + 4:
        raise ValueError(messages.PICTURE_TOO_LARGE(most=MAX_BYTES, value=len(encoded) * 3 // 4))
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=[format_]) as image:
            if max(image.size) > MAX_SIDE:
                size = f"{image.width}x{image.height}"
                raise ValueError(messages.PICTURE_TOO_WIDE(most=MAX_SIDE, size=size)) from None
            return image.convert("RGB")
    except binascii.Error:
        raise ValueError(messages.MUST_BE_BASE64()) from None
    except Image.DecompressionBombError:
        raise ValueError(messages.PICTURE_TOO_LONG(most=MAX_SIDE)) from None
    except (UnidentifiedImageError, OSError, SyntaxError, struct.error):
        raise ValueError(messages.MUST_BE_A_PICTURE(format=format_)) from None


def reference_text(picture: Image.Image) -> str:
    """A picture as the setting carries it, small enough for a picture's metadata."""
    small = picture.convert("RGB")
    small.thumbnail((STORED_SIDE, STORED_SIDE))
    file = io.BytesIO()
    small.save(file, format="WEBP", quality=80)
    return DATA_URL + base64.b64encode(file.getvalue()).decode("ascii")


def picture_values(picture: Image.Image, size: Size) -> Tensor:
    """A picture as a VAE takes it, [1, 3, height, width] in -1..1, filling `size` (image pixels), centre kept."""
    height, width = size
    scale = max(height / picture.height, width / picture.width)
    scaled = picture.resize((max(width, round(picture.width * scale)), max(height, round(picture.height * scale))))
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    pixels = np.asarray(scaled.crop((left, top, left + width, top + height)), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
