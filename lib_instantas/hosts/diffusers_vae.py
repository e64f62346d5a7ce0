"""The autoencoder of a diffusers pipeline in tiles: where that is asked for, or where memory asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from lib_instantas.settings import Settings
from lib_instantas.vae import (
    Options,
    UnsupportedAutoencoder,
    UntiledFirst,
    replaced_forward,
    tiled_decoder,
)


class Decoder(UntiledFirst):
    """Stands in for `forward` of an autoencoder's decoder; `done` says afterwards what it did, if it took tiles."""

    done = ""

    def in_tiles(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Decode a latent map `[B, C, h, w]` that does not fit."""
        picture = super().in_tiles(x, *args, **kwargs)
        recovery = str(self.recovery)
        self.done = f"VAE in tiles ({self.tiled.options.mode})" + (f", {recovery}" if recovery else "")
        return picture


def is_known(vae: Any) -> bool:
    """Whether an autoencoder can work in tiles."""
    try:
        tiled_decoder(vae.decoder)
    except (UnsupportedAutoencoder, AttributeError):
        return False
    return True


@contextmanager
def decoding(vae: Any, settings: Settings, progress: Callable[[int, int], None]) -> Iterator[Decoder | None]:
    """Inside, the autoencoder decodes as the settings say; None where that is as it always does.

    `progress` is told (work done, total work) between tiles, and may raise to stop.
    """
    wanted = settings.enabled and (settings.vae != "off" or settings.wrap != "off")
    if not wanted or not is_known(vae):
        yield None
        return
    options = Options(settings.vae_tile, settings.vae_mode, settings.wraps_per_axis, progress=progress)
    always = settings.vae == "on" or any(settings.wraps_per_axis)
    decoder = Decoder(vae.decoder.forward, tiled_decoder(vae.decoder, options), always)
    with replaced_forward(vae.decoder, decoder):
        yield decoder
