"""A tiled autoencoder: its encoder and decoder answer as before, tile by tile, for as long as a `with` lasts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lib_instantas.device import empty_cache, free_bytes, is_out_of_memory, shares_main_memory
from lib_instantas.replacing import replaced
from lib_instantas.vae.fast import fused
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.maps import whole
from lib_instantas.vae.network import decoder_layers, encoder_layers, map_bytes, tile_elements, untiled_bytes, workspace
from lib_instantas.vae.passes import run
from lib_instantas.vae.workspace import Options, Recovery, store_for

logger = logging.getLogger(__name__)

SHARE_OF_FREE_MEMORY = 0.8
"""Of the free memory that a map as a whole may be expected to take before tiles are chosen, and the maps between exact
tiles before the fast mode is: it keeps less."""


SHARE_OF_MAIN_MEMORY = 0.4
"""The same where main memory is computed in: convolutions copy there what they read and write into another order, and
what goes beyond the memory there is no error but the end of the program.
"""


class TiledCoder:
    """Stands in for `forward` of an encoder or decoder: same maps in and out, computed tile by tile without gradients.

    Where the module's own `forward` is given as `untiled`, a map that fits into memory is left to it. What runs out of
    memory as a whole is done again in tiles, counted in `recovery.tiled`; nothing as large is tried as a whole again.
    `recovery` sums up what went wrong and was put right; `mode` is that in which the last map was computed.
    """

    def __init__(self, layers: Sequence[Layer], options: Options, untiled: Callable[..., Tensor] | None = None) -> None:
        self.layers = layers
        self.options = options
        self.untiled = untiled
        self.recovery = Recovery()
        self.mode = options.mode
        self._too_large: float = math.inf

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Encode a picture `[B, 3, H, W]` to moments, or decode a latent map `[B, C, h, w]` to a picture.

        An error of the module's own `forward` that is not about memory is the caller's.
        """
        if self.untiled is not None and self._fits(x):
            answer = self._unless_out_of_memory(self.untiled, x, *args, **kwargs)
            if answer is not None:
                return answer
            # Outside the handler: only now are the failed tensors free.
            empty_cache(x.device)
            self.recovery.tiled += 1
        return self.in_tiles(x, *args, **kwargs)

    @torch.no_grad()
    def in_tiles(self, x: Tensor, *unused: Any, **options: Any) -> Tensor:
        """The same without asking whether the map fits."""
        if any(value is not None for value in (*unused, *options.values())):
            raise ValueError(f"InstantAS: tiled VAE takes the map only, got also {[*unused, *options]}")
        size = (x.shape[-2], x.shape[-1])
        elements = tile_elements(self.layers, size, self.options.tile)
        self.mode = "fast" if self._is_short_of_main_memory(x) else self.options.mode
        layers = fused(self.layers, size) if self.mode == "fast" else self.layers
        work = workspace(layers, x, self.options, self.recovery, elements)
        made = run(layers, x, work)
        return made.read(whole(made.size)).to(x.device, x.dtype)

    def free_bytes(self, x: Tensor) -> int | None:
        """What is free on the device that a map is computed on; None if nobody knows."""
        return free_bytes(x.device)

    def _is_short_of_main_memory(self, x: Tensor) -> bool:
        """Whether the maps of the exact mode are to be kept in main memory and would not fit there.

        Processes that share the tiles would have to agree on it: they keep to what was chosen.
        """
        if self.options.mode != "exact" or not self.options.processes.alone:
            return False
        size, itemsize = (x.shape[-2], x.shape[-1]), x.element_size()
        needed, fast = (x.shape[0] * map_bytes(one, size, itemsize) for one in (self.layers, fused(self.layers, size)))
        main = torch.device("cpu")
        free = free_bytes(main) if store_for(needed, self.options.store, x.device) == main else None
        self.recovery.short = None
        if free is not None and needed > SHARE_OF_FREE_MEMORY * free and fast < needed:
            self.recovery.short = needed, free
        return self.recovery.short is not None

    def _fits(self, x: Tensor) -> bool:
        if x.numel() >= self._too_large:
            return False
        itemsize = next(self.layers[0].modules[0].parameters()).element_size()
        needed = x.shape[0] * untiled_bytes(self.layers, (x.shape[-2], x.shape[-1]), x.shape[1], itemsize)
        free = self.free_bytes(x)
        share = SHARE_OF_MAIN_MEMORY if shares_main_memory(x.device) else SHARE_OF_FREE_MEMORY
        return free is None or needed <= share * free

    def _unless_out_of_memory(
        self, untiled: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor | None:
        try:
            return untiled(x, *args, **kwargs)
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
    with replaced(autoencoder.decoder, "forward", decoder), replaced(autoencoder.encoder, "forward", encoder):
        yield decoder.recovery
