"""A tiled autoencoder: its encoder and decoder answer as before, tile by tile, for as long as a `with` lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lib_instantas.vae.fast import with_sweep
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.network import decoder_layers, encoder_layers
from lib_instantas.vae.options import Options, Recovery
from lib_instantas.vae.passes import run, tile_elements, workspace


class TiledCoder:
    """Stands in for `forward` of an encoder or decoder: same maps in and out, computed tile by tile without gradients.

    `recovery` sums up what went wrong and was put right.
    """

    def __init__(self, layers: Sequence[Layer], options: Options) -> None:
        self.layers = layers
        self.options = options
        self.recovery = Recovery()

    @torch.no_grad()
    def __call__(self, x: Tensor, *unused: Any, **options: Any) -> Tensor:
        """Encode a picture `[B, 3, H, W]` to moments, or decode a latent map `[B, C, h, w]` to a picture."""
        if any(value is not None for value in (*unused, *options.values())):
            raise ValueError(f"InstantAS: tiled VAE takes the map only, got also {[*unused, *options]}")
        size = (x.shape[-2], x.shape[-1])
        elements = tile_elements(self.layers, size, self.options.tile)
        layers = with_sweep(self.layers, size) if self.options.mode == "fast" else self.layers
        return run(layers, x, workspace(layers, x, self.options, self.recovery, elements))


def tiled_decoder(decoder: nn.Module, options: Options | None = None) -> TiledCoder:
    """The decoder of a KL autoencoder as a function that works in tiles. Raises UnsupportedAutoencoder."""
    return TiledCoder(decoder_layers(decoder), options or Options())


def tiled_encoder(encoder: nn.Module, options: Options | None = None) -> TiledCoder:
    """The encoder of a KL autoencoder as a function that works in tiles. Raises UnsupportedAutoencoder."""
    return TiledCoder(encoder_layers(encoder), options or Options())


@contextmanager
def tiled(autoencoder: Any, options: Options | None = None) -> Iterator[Recovery]:
    """Let this one autoencoder encode and decode in tiles inside the `with`; yields the account of recoveries.

    Only `forward` of the two instances changes, and it is put back whatever happens. Raises UnsupportedAutoencoder.
    """
    decoder, encoder = (
        tiled_decoder(autoencoder.decoder, options),
        tiled_encoder(autoencoder.encoder, options),
    )
    encoder.recovery = decoder.recovery
    with replaced_forward(autoencoder.decoder, decoder), replaced_forward(autoencoder.encoder, encoder):
        yield decoder.recovery


@contextmanager
def replaced_forward(module: nn.Module, stand_in: Callable[..., Tensor]) -> Iterator[None]:
    """Replace `forward` of one instance, and put back what the instance itself had."""
    own = module.__dict__.get("forward")
    module.forward = stand_in  # type: ignore[method-assign]
    try:
        yield
    finally:
        if own is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = own
