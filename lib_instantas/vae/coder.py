"""A tiled autoencoder: its encoder and decoder answer as before, tile by tile, for as long as a `with` lasts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lib_instantas.device import empty_cache, free_bytes, is_out_of_memory
from lib_instantas.vae.fast import with_sweep
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.network import decoder_layers, encoder_layers
from lib_instantas.vae.options import Options, Recovery
from lib_instantas.vae.passes import run, tile_elements, untiled_bytes, workspace

logger = logging.getLogger(__name__)

SHARE_OF_FREE_MEMORY = 0.8
"""Of the free memory that a map as a whole may be expected to take before tiles are chosen."""


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


class UntiledFirst:
    """Stands in for `forward` of an encoder or decoder: asked as it is where a map fits into memory, else in tiles.

    What runs out of memory as a whole is done again in tiles, counted in `recovery.tiled`; nothing as large is tried
    as a whole again. `always` takes tiles without asking. `whole` is the module's own `forward`.
    """

    def __init__(self, whole: Callable[..., Tensor], tiled: TiledCoder, always: bool) -> None:
        self.whole = whole
        self.tiled = tiled
        self.always = always
        self._too_large: float = math.inf

    @property
    def recovery(self) -> Recovery:
        """What went wrong and was put right so far."""
        return self.tiled.recovery

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The answer for a map [B, C, H, W]. An error that is not about memory is the caller's."""
        if self._fits(x):
            answer = self._unless_out_of_memory(x, *args, **kwargs)
            if answer is not None:
                return answer
            # Outside the handler: only now are the failed tensors free.
            empty_cache(x.device)
            self.recovery.tiled += 1
        return self.in_tiles(x, *args, **kwargs)

    def in_tiles(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The answer for a map that does not fit."""
        return self.tiled(x, *args, **kwargs)

    def free_bytes(self, x: Tensor) -> int | None:
        """What is free on the device that a map is computed on; None if nobody knows."""
        return free_bytes(x.device)

    def _fits(self, x: Tensor) -> bool:
        if self.always or x.numel() >= self._too_large:
            return False
        layers = self.tiled.layers
        itemsize = next(layers[0].modules[0].parameters()).element_size()
        needed = x.shape[0] * untiled_bytes(layers, (x.shape[-2], x.shape[-1]), x.shape[1], itemsize)
        free = self.free_bytes(x)
        return free is None or needed <= SHARE_OF_FREE_MEMORY * free

    def _unless_out_of_memory(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
        try:
            return self.whole(x, *args, **kwargs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._too_large = x.numel()
            logger.warning("InstantAS: the VAE ran out of memory, going on in tiles")
        return None


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
