"""Tiled encoding and decoding with a KL autoencoder whose result is that of the untiled one.

Convolve by tile, share the norm's statistics: between two GroupNorms everything is local, so a layer is computed tile
by tile with a halo of one pixel; at each norm the statistics of all tiles are merged (ScaleCrafter, appendix A.3);
attention goes over the whole map in blocks.

    network.py   which layers an encoder or decoder has, read from its module tree
    layers.py    the kinds of layers, and what a tile of each reads and becomes: a new kind goes here
    norm.py      the statistics of all tiles
    maps.py      the maps between the layers, kept in pieces
    passes.py    one layer after another, one tile after another; NaN and lack of memory; what memory is needed
    fast.py      the fast mode: many layers in one sweep
    coder.py     the stand-ins for an autoencoder's encoder and decoder
    options.py   what the caller chooses and is told
"""

from lib_instantas.vae.coder import TiledCoder, UntiledFirst, replaced_forward, tiled, tiled_decoder, tiled_encoder
from lib_instantas.vae.network import UnsupportedAutoencoder
from lib_instantas.vae.options import Interrupted, Options, Recovery
from lib_instantas.vae.passes import output_sizes

__all__ = [
    "Interrupted",
    "Options",
    "Recovery",
    "TiledCoder",
    "UnsupportedAutoencoder",
    "UntiledFirst",
    "output_sizes",
    "replaced_forward",
    "tiled",
    "tiled_decoder",
    "tiled_encoder",
]
