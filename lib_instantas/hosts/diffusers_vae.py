"""The autoencoder of a diffusers pipeline in tiles: where that is asked for, or where memory asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor

from lib_instantas.processes import ALONE, Processes
from lib_instantas.replacing import replaced
from lib_instantas.settings import Settings
from lib_instantas.vae import (
    Options,
    TiledCoder,
    UnsupportedAutoencoder,
    decoder_layers,
    encoder_layers,
)


class Coder(TiledCoder):
    """Stands in for `forward` of an encoder or decoder; `done` says afterwards what it did, if it took tiles."""

    done = ""

    def in_tiles(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Decode latents `[B, C, h, w]` or encode a picture `[B, 3, H, W]` that does not fit."""
        result = super().in_tiles(x, *args, **kwargs)
        recovery = str(self.recovery)
        self.done = f"VAE in tiles ({self.mode})" + (f", {recovery}" if recovery else "")
        return result


def is_known(vae: Any) -> bool:
    """Whether an autoencoder can work in tiles."""
    try:
        decoder_layers(vae.decoder)
        encoder_layers(vae.encoder)
    except (UnsupportedAutoencoder, AttributeError):
        return False
    return True


def decoding(
    vae: Any, settings: Settings, progress: Callable[[int, int], None], processes: Processes = ALONE
) -> AbstractContextManager[Coder | None]:
    """Inside, the autoencoder decodes as the settings say; None where that is as it always does.

    `progress` is told (work done, total work) between tiles, and may raise to stop. Several processes take tiles unless
    the settings say "off", so that each decodes its part.
    """
    return _coding(vae, "decoder", settings, progress, processes)


def encoding(
    vae: Any, settings: Settings, progress: Callable[[int, int], None], processes: Processes = ALONE
) -> AbstractContextManager[Coder | None]:
    """The same for encoding."""
    return _coding(vae, "encoder", settings, progress, processes)


@contextmanager
def _coding(
    vae: Any, name: str, settings: Settings, progress: Callable[[int, int], None], processes: Processes
) -> Iterator[Coder | None]:
    if not (settings.enabled and settings.may_tile_vae and is_known(vae)):
        yield None
        return
    options = Options(
        settings.vae_tile, settings.vae_mode, settings.wraps_per_axis, progress=progress, processes=processes
    )
    always = settings.must_tile_vae or not processes.alone
    network = getattr(vae, name)
    layers = decoder_layers(network) if name == "decoder" else encoder_layers(network)
    coder = Coder(layers, options, None if always else network.forward)
    with replaced(network, "forward", coder):
        yield coder
