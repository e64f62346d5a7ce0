"""Tiled encoding and decoding with a KL autoencoder whose result is that of the untiled one.

Between two GroupNorms everything is local, so a stage is computed tile by tile with a halo of one pixel; at each norm
the statistics of all tiles are merged (ScaleCrafter, appendix A.3); attention goes over the whole map in blocks.
"""

from lib_instantas.vae.network import UnsupportedAutoencoder
from lib_instantas.vae.options import Interrupted, Options, Recovery
from lib_instantas.vae.tiled import TiledCoder, replaced_forward, tiled, tiled_decoder, tiled_encoder

__all__ = [
    "Interrupted",
    "Options",
    "Recovery",
    "TiledCoder",
    "UnsupportedAutoencoder",
    "replaced_forward",
    "tiled",
    "tiled_decoder",
    "tiled_encoder",
]
