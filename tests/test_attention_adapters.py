"""What extensions add to a layer goes on in every region."""

from __future__ import annotations

import pytest
import torch
from regional import LEFT, loop_over_halves, of_another_library, prompt, regional
from tiny_unets import ldm_unet
from torch import nn

from lib_instantas.attention_layers import cross_attention_layers
from lib_instantas.regions import RegionSetup

pytestmark = pytest.mark.usefixtures("_no_gradients")


class Adapter:
    """What ControlNet's IP-Adapter does to a layer: its own `forward`, which adds attention to an image's tokens."""

    def __init__(self, module, attention):
        self.image = prompt(4, seed=7)
        self.attention = attention
        self.module = module

    def forward(self, x, context=None, **_):
        m = self.module
        q, k, v = (
            t.unflatten(-1, (m.heads, -1)).transpose(1, 2) for t in (m.to_q(x), m.to_k(context), m.to_v(context))
        )
        return m.to_out((self.attention(q, k, v) + self.added(q)).transpose(1, 2).flatten(2))

    def added(self, q):
        k, v = (to(self.image).unflatten(-1, (self.module.heads, -1)).transpose(1, 2) for to in self.keys_and_values())
        return 0.5 * self.attention(q, k.expand(len(q), -1, -1, -1), v.expand(len(q), -1, -1, -1))

    def keys_and_values(self):
        return self.module.to_k, self.module.to_v


def pytorchs_own(q, k, v):
    return nn.functional.scaled_dot_product_attention(q, k, v)


def with_adapters(unet, attention):
    for layer in cross_attention_layers(unet):
        layer.module.forward = Adapter(layer.module, attention).forward
    return unet


@pytest.mark.parametrize("attention", [pytorchs_own, of_another_library])
@pytest.mark.parametrize("lengths", [(5, 7), (4, 4), (5, 4)], ids=str)
def test_what_an_adapter_adds_to_a_layer_acts_in_every_region(attention, lengths):
    """Also where the adapter's image has as many tokens as a prompt, or two prompts together."""
    prompts = [prompt(n, 1, i) for i, n in enumerate(lengths)]
    unet, x = with_adapters(ldm_unet(), attention), torch.randn(1, 4, 8, 8)
    result = regional("ldm", unet, RegionSetup((LEFT,)), x, prompts)
    alone = regional("ldm", ldm_unet(), RegionSetup((LEFT,)), x, prompts)
    for layer in cross_attention_layers(unet):
        layer.module.forward = loop_over_halves(layer.module.forward, prompts)
    assert torch.allclose(result, unet(x, context=prompts[0]), atol=1e-5)
    assert not torch.allclose(result, alone, atol=1e-3)


class Squaring(Adapter):
    """An extension whose addition depends on what the prompt answered, so that it cannot be told by subtraction.

    It attends to its image first, with queries of its own, or with a mask.
    """

    def __init__(self, module, image_tokens, masked):
        super().__init__(module, pytorchs_own)
        self.image, self.masked = prompt(image_tokens, seed=7), masked

    def added(self, q):
        k, v = (to(self.image).unflatten(-1, (self.module.heads, -1)).transpose(1, 2) for to in self.keys_and_values())
        mask = torch.zeros(q.shape[-2], k.shape[-2]) if self.masked else None
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def forward(self, x, context=None, **_):
        m = self.module
        q, k, v = (
            t.unflatten(-1, (m.heads, -1)).transpose(1, 2) for t in (m.to_q(x), m.to_k(context), m.to_v(context))
        )
        added, answer = self.added(q), self.attention(q, k, v)
        return m.to_out((answer**2 + added + self.added(q)).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(("image_tokens", "masked"), [(4, False), (20, False), (12, True)])
def test_in_a_layer_that_asks_pytorchs_attention_the_prompts_are_told_apart_within_it(image_tokens, masked):
    """12 is as many tokens as the prompts have together: there the mask shows that they are others."""
    prompts = [prompt(5, seed=1), prompt(7, seed=2)]
    unet, x = ldm_unet(), torch.randn(1, 4, 8, 8)
    for layer in cross_attention_layers(unet):
        layer.module.forward = Squaring(layer.module, image_tokens, masked).forward
    result = regional("ldm", unet, RegionSetup((LEFT,)), x, prompts)
    for layer in cross_attention_layers(unet):
        layer.module.forward = loop_over_halves(layer.module.forward, prompts)
    assert torch.allclose(result, unet(x, context=prompts[0]), atol=1e-5)
