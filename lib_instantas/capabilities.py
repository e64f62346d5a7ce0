"""What a host may be able to do beyond asking its model about tiles.

A host offers a set of these. A method, and a setting where it is declared, says which of them it needs; refusals,
menus and the documents follow (`lib_instantas.agreement`).
"""

from __future__ import annotations

from enum import Enum

from lib_instantas.texts.message import Message

STANDALONE = "it runs in the standalone program (python -m lib_instantas generate)"


class Capability(Enum):
    """Something a host can do, in the words of messages, and what to do on a host that cannot."""

    ANY_SHAPE = "a UNet that takes tiles of any shape", "load the model itself in place of a compiled UNet"
    REGIONS = "a UNet whose cross-attention can be masked", "load an SD 1.x, 2.x or SDXL model as it is"
    CONVOLUTIONS = "a UNet whose convolutions can be spread", "load an SD 1.x, 2.x or SDXL model as it is"
    SIZES = "a model that is told the size of its picture", "load an SDXL model"
    NOISE = "the noise before sampling begins", "take a host that hands it over (the WebUI from 1.10 on)"
    KNOWN_VAE = "an autoencoder that can work in tiles", "take the VAE of SD 1.x, 2.x or SDXL"
    TWO_STAGES = "a second stage that goes on from a picture", "make both stages yourself, the second by img2img"
    GIVEN_PICTURE = "a picture to begin with", "take img2img of the WebUI"
    GRADIENTS = "gradients through the model and a measure of likeness", STANDALONE
    ATTENTION = "attention layers that all tiles share", STANDALONE
    LATENTS = "the latents between two steps", STANDALONE
    SECOND_PICTURE = "a second picture of the native size beside the canvas", STANDALONE

    @property
    def words(self) -> str:
        """What it is, as a message."""
        return Message(self.value[0])

    @property
    def instead(self) -> str:
        """What a user can do where it is missing."""
        return Message(self.value[1])


ALL = frozenset(Capability)
