"""Where pictures are written: checked before they are painted, so that none is lost."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lib_instantas.hosts.standalone import Result
from lib_instantas.panorama import XMP_KEY, jpeg_with_xmp
from lib_instantas.settings import SettingsError
from lib_instantas.tiling import Size

LONGEST = {".png": 2**31 - 1, ".jpg": 65535, ".jpeg": 65535, ".webp": 16383}
"""Kinds of files, and how many pixels a side they hold."""

EXIF, USER_COMMENT = 0x8769, 0x9286


def check_output(file: Path, size: Size) -> None:
    """Make the folder of a file to be; raises SettingsError if a picture of this size cannot be written there."""
    longest = LONGEST.get(file.suffix.lower())
    if longest is None:
        raise SettingsError(f"output must end in one of {', '.join(LONGEST)}, got {str(file)!r}")
    if max(size) > longest:
        raise SettingsError(
            f"output must be a .png, since {file.suffix} holds {longest} pixels a side, got {max(size)}"
        )
    if file.is_dir():
        raise SettingsError(f"output must be a file, {str(file)!r} is a folder")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as reason:
        raise SettingsError(
            f"output must lie in a folder that can be written to, got {str(file)!r}: {reason}"
        ) from None
    if file.exists() and not os.access(file, os.W_OK):
        raise SettingsError(f"output must be a file that can be written, {str(file)!r} cannot")


def save(result: Result, file: Path) -> Path:
    """Write a picture with its infotext where the WebUI looks for it; where that fails, into a folder of its own.

    Returns where it is.
    """
    try:
        _write(result, file)
    except (OSError, ValueError) as reason:
        elsewhere = Path(tempfile.mkdtemp(prefix="instantas-")) / "picture.png"
        _write(result, elsewhere)
        print(f"InstantAS: {file} could not be written ({reason}), the picture is in {elsewhere}", file=sys.stderr)
        return elsewhere
    return file


def _write(result: Result, file: Path) -> None:
    if file.suffix.lower() == ".png":
        result.image.save(file, pnginfo=png_texts(result))
        return
    exif = Image.Exif()
    exif[EXIF] = {USER_COMMENT: b"UNICODE\0" + result.infotext.encode("utf-16-be")}
    result.image.convert("RGB").save(file, exif=exif, quality=95)
    if file.suffix.lower() != ".webp" and XMP_KEY in result.image.info:
        file.write_bytes(jpeg_with_xmp(file.read_bytes(), result.image.info[XMP_KEY]))


def png_texts(result: Result) -> PngInfo:
    """What a PNG of a picture says: how it was made, and of a 360° picture what viewers look for."""
    metadata = PngInfo()
    metadata.add_text("parameters", result.infotext)
    if XMP_KEY in result.image.info:
        metadata.add_text(XMP_KEY, result.image.info[XMP_KEY])
    return metadata
