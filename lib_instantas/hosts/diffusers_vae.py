"""The autoencoder of a diffusers pipeline in tiles: where that is asked for, or where memory asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from lib_instantas.device import empty_cache, free_bytes, is_out_of_memory
from lib_instantas.settings import Settings
from lib_instantas.vae import (
    Options,
    TiledCoder,
    UnsupportedAutoencoder,
    replaced_forward,
    tiled_decoder,
    untiled_bytes,
)

logger = logging.getLogger(__name__)

SHARE_OF_FREE_MEMORY = 0.8
"""Of the free memory that untiled decoding may be expected to take before tiles are chosen."""


class Decoder:
    """Stands in for `forward` of an autoencoder's decoder; `done` says afterwards what it did, if it took tiles."""

    def __init__(self, forward: Callable[..., Tensor], tiled: TiledCoder, settings: Settings) -> None:
        self.forward = forward
        self.tiled = tiled
        self.settings = settings
        self.done = ""

    def __call__(self, z: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Decode a latent map `[B, C, h, w]`. What does not fit into memory as a whole is done again in tiles."""
        reason = ""
        if not self._needs_tiles(z):
            picture = self._unless_out_of_memory(z, *args, **kwargs)
            if picture is not None:
                return picture
            # Outside the handler: only now are the failed tensors free.
            empty_cache(z.device)
            reason = ", out of memory untiled"
        picture = self.tiled(z)
        recovery = str(self.tiled.recovery)
        self.done = f"VAE in tiles ({self.settings.vae_mode}{reason})" + (f", {recovery}" if recovery else "")
        return picture

    def _needs_tiles(self, z: Tensor) -> bool:
        if self.settings.vae == "on" or any(self.settings.wraps_per_axis):
            return True
        free = free_bytes(z.device)
        size = int(z.shape[-2]), int(z.shape[-1])
        needed = z.shape[0] * untiled_bytes(self.tiled.layers, size, int(z.shape[1]), z.element_size())
        return free is not None and needed > SHARE_OF_FREE_MEMORY * free

    def _unless_out_of_memory(self, z: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
        try:
            return self.forward(z, *args, **kwargs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("InstantAS: out of memory, the picture is decoded again in tiles")
        return None


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
    decoder = Decoder(vae.decoder.forward, tiled_decoder(vae.decoder, options), settings)
    with replaced_forward(vae.decoder, decoder):
        yield decoder
