"""What this host can do, by its features, and what the model that is loaded in it can."""

from __future__ import annotations

from modules import scripts, shared

from lib_instantas.agreement import Offer
from lib_instantas.attention_layers import has_cross_attention
from lib_instantas.capabilities import Capability
from lib_instantas.hosts.a1111.native import is_unet
from lib_instantas.hosts.a1111.samplers import family


def offer_of_host() -> Offer:
    """What the host can do with a model that allows everything: for the panel, and before a model is loaded."""
    offer = {Capability.ANY_SHAPE, Capability.REGIONS, Capability.CONVOLUTIONS}
    offer |= {Capability.KNOWN_VAE, Capability.TWO_STAGES, Capability.SIZES, Capability.GIVEN_PICTURE}
    if hasattr(scripts.Script, "process_before_every_sampling"):
        offer.add(Capability.NOISE)
    return frozenset(offer)


def offer_of_model() -> Offer:
    """What the host can do with the model that is loaded now.

    A transformer (SD 3, Flux) has no attention to the prompt apart from that to the picture, and no convolutions.
    """
    unet, offer = family().unet, offer_of_host()
    if not has_cross_attention(unet):
        offer -= {Capability.REGIONS}
    if not is_unet(unet):
        offer -= {Capability.CONVOLUTIONS}
    if not getattr(shared.sd_model, "is_sdxl", False):
        offer -= {Capability.SIZES}
    return offer
