"""Upscaling in img2img: the given picture is enlarged by one of the host's upscalers, and its tiles finish it.

The size of the result follows from the picture, not from the page; the enlarged picture takes the given one's place
while the host prepares its latents, and no longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from modules import images, shared
from PIL import Image

from lib_instantas.hosts.a1111.parts.controlnet import units_of
from lib_instantas.hosts.a1111.sizes import pastes_into_original
from lib_instantas.replacing import replaced
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.texts import messages
from lib_instantas.tiling import LATENT_SCALE, Size, round_up

REACH = 16
"""Pixels beyond the border that an upscaler sees of a picture that is closed on itself."""

STRENGTH = 0.3
"""Denoising strength of what txt2img enlarges: that which the button under a gallery chooses for img2img."""

LATENT_RESIZE = 3
"""The host's resize mode that enlarges latents: here the picture is stretched before they are made."""


@dataclass(frozen=True)
class Upscaling:
    """How the given pictures are enlarged: to `finished` (height, width) in image pixels, by an upscaler of the host.

    An axis (vertical, horizontal) that is `closed` goes on beyond its border at the other end.
    """

    finished: Size
    upscaler: str
    closed: tuple[bool, bool] = (False, False)

    @property
    def canvas(self) -> Size:
        """The size in image pixels of the latents that hold the finished picture."""
        height, width = (round_up(side, LATENT_SCALE) for side in self.finished)
        return height, width

    @contextmanager
    def in_place(self, p: Any) -> Iterator[None]:
        """Have the host prepare the enlarged pictures in place of the given ones."""
        enlarged = [self._enlarged(picture, p.resize_mode) for picture in p.init_images]
        with replaced(p, "init_images", enlarged):
            yield

    def _enlarged(self, picture: Image.Image, mode: int) -> Image.Image:
        picture = images.flatten(picture, shared.opts.img2img_background_color)
        reach = [REACH if closed else 0 for closed in self.closed]
        pixels = np.pad(np.asarray(picture), [(n, n) for n in reach] + [(0, 0)], mode="wrap")
        height, width = self.canvas
        beyond = [
            round(n * side / own) for n, side, own in zip(reach, (height, width), picture.size[::-1], strict=True)
        ]
        large = images.resize_image(
            0 if mode == LATENT_RESIZE else mode,
            Image.fromarray(pixels),
            width + 2 * beyond[1],
            height + 2 * beyond[0],
            upscaler_name=self.upscaler,
        )
        return large.crop((beyond[1], beyond[0], beyond[1] + width, beyond[0] + height))


def upscaling_of(p: Any, settings: Settings) -> Upscaling | None:
    """How the pictures of `p` are to be enlarged; None where they are not.

    Raises SettingsError for an upscaler that the host has not.
    """
    if settings.upscale_by == 1 or why_not_upscaled(p, settings):
        return None
    if settings.upscaler not in (known := picture_upscalers()):
        choices = messages.ONE_OF(choices=", ".join(known))
        raise SettingsError(messages.MUST_BE(name="upscaler", allowed=choices, value=repr(settings.upscaler)))
    if not getattr(p, "init_images", None):
        return None  # txt2img enlarges what it has made: chained_upscaling.py
    width, height = p.init_images[0].size
    by_factor = enlarged((height, width), settings)
    finished = settings.height or by_factor[0], settings.width or by_factor[1]
    return Upscaling(finished, settings.upscaler, settings.wraps_per_axis)


def enlarged(size: Size, settings: Settings) -> Size:
    """What becomes of a picture of (height, width) pixels by `upscale_by`."""
    return round(size[0] * settings.upscale_by), round(size[1] * settings.upscale_by)


def upscales_afterwards(p: Any, settings: Settings) -> bool:
    """Whether the pictures of `p` are to be enlarged when they are finished: in txt2img."""
    return settings.upscale_by != 1 and not hasattr(p, "init_images")


def check_chain(p: Any, settings: Settings) -> None:
    """Raises SettingsError, before anything is made, where finished pictures could not be enlarged.

    For when the other scripts have begun: ControlNet's hints for the small picture would still be on the UNet.
    """
    if upscales_afterwards(p, settings) and any(True for _ in units_of(p)):
        raise SettingsError(messages.UPSCALE_BESIDE_CONTROLNET(value=settings.upscale_by))


def why_not_upscaled(p: Any, settings: Settings) -> str:
    """Why a picture that is to be upscaled is not, in words for its metadata; empty where it is, or is not to be."""
    if settings.upscale_by == 1:
        return ""
    if pastes_into_original(p):
        return (
            "upscale_by has no effect where only the masked part is inpainted: what is made goes back into the picture"
        )
    return ""


def picture_upscalers() -> list[str]:
    """The names of what can enlarge a picture here."""
    return [one.name for one in shared.sd_upscalers]
