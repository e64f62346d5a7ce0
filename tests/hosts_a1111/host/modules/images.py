"""Pictures as the host resizes them: by Lanczos, whatever the upscaler."""

from __future__ import annotations

from PIL import Image


def flatten(picture: Image.Image, background: str) -> Image.Image:
    """Without its alpha channel."""
    return picture.convert("RGB")


def resize_image(
    mode: int, picture: Image.Image, width: int, height: int, upscaler_name: str | None = None
) -> Image.Image:
    """Stretched to a size."""
    return picture.resize((width, height), Image.Resampling.LANCZOS)
