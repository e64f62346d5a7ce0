"""360° pictures of the host carry what viewers look for, wherever the host writes them.

The picture itself carries the XMP packet, as it carries its infotext: so it is in the page and in the API's answer as
well, and grids, masks and what else is written of the same generation have none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL.Image import Image

from lib_instantas.hosts.a1111.generation import Generation
from lib_instantas.panorama import XMP_KEY, is_sphere, jpeg_with_xmp, sphere_xmp

JPEG_ENDINGS = (".jpg", ".jpeg")


def mark_sphere(image: Image, generation: Generation) -> None:
    """Give a finished picture the packet, if it goes all the way around."""
    size = image.height, image.width
    if is_sphere(size, generation.settings.wraps_per_axis):
        image.info[XMP_KEY] = sphere_xmp(size)


def before_saving(params: Any) -> None:
    """The host is about to write a picture: have a PNG carry the packet."""
    if xmp := _xmp_of(params.image):
        params.pnginfo[XMP_KEY] = xmp


def after_saving(params: Any) -> None:
    """The host has written a picture: it puts no XMP into a JPEG, so this does. Other formats go without."""
    xmp, file = _xmp_of(params.image), Path(params.filename)
    if xmp and file.suffix.lower() in JPEG_ENDINGS and file.exists():
        meanwhile = file.with_name(file.name + ".tmp")
        meanwhile.write_bytes(jpeg_with_xmp(file.read_bytes(), xmp))
        os.replace(meanwhile, file)


def _xmp_of(image: Image) -> str | None:
    """The packet that a picture carries, where it still fits its size; one that was read from a file carries it too."""
    wanted = sphere_xmp((image.height, image.width))
    return wanted if image.info.get(XMP_KEY) == wanted else None
