"""Tiled encoding and decoding with a KL autoencoder whose result is that of the untiled one.

Convolve by tile, share the norm's statistics: between two GroupNorms everything is local, so a layer is computed tile
by tile with a halo of one pixel; at each norm the statistics of all tiles are merged (ScaleCrafter, appendix A.3);
attention goes over the whole map in blocks. docs/design.md draws one decode.

    coder.py         what stands in for an encoder's or decoder's `forward`
    network.py       which layers an encoder or decoder has, read from its module tree, and the memory that they need
    layers.py        the kinds of layers, and what a tile of each reads and becomes: a new kind goes here
    maps.py          what lies between the layers: maps in pieces, and the norm that all pieces of a map share
    passes.py        one layer after another, one tile after another; NaN, lack of memory, several processes
    workspace.py     what all of them share: what the caller chooses and is told, and the memory that there is
    fast.py          the fast mode: one more kind of layer, the widest ones fused
"""

from lib_instantas.vae.coder import TiledCoder, tiled, tiled_decoder, tiled_encoder
from lib_instantas.vae.layers import Layer
from lib_instantas.vae.network import UnsupportedAutoencoder, decoder_layers, encoder_layers, output_sizes
from lib_instantas.vae.workspace import Interrupted, Options, Recovery

__all__ = [
    "Interrupted",
    "Layer",
    "Options",
    "Recovery",
    "TiledCoder",
    "UnsupportedAutoencoder",
    "decoder_layers",
    "encoder_layers",
    "output_sizes",
    "tiled",
    "tiled_decoder",
    "tiled_encoder",
]
