"""Which layers of a UNet regional attention works in, how it asks them, and that they are as before after it."""

from __future__ import annotations

import inspect
from contextlib import nullcontext

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from regional import KINDS, LEFT, attention_for, everything_attached, of_another_library, prompt, regional, whole
from tiny_unets import CONTEXT_CHANNELS, UNETS, LdmCrossAttention, ldm_unet
from torch import nn

from lib_instantas.attention import RegionalAttention, attend
from lib_instantas.attention_layers import context_width, cross_attention_layers, has_cross_attention
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import ModelCall
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.shapes import Rectangle
from lib_instantas.tiling import Segment, Span, Tile, TilePlan

pytestmark = pytest.mark.usefixtures("_no_gradients")


def test_a_call_that_sees_one_prompt_runs_the_hosts_own_attention():
    unet = ldm_unet()
    asked = []
    for layer in cross_attention_layers(unet):
        layer.module.forward = recorded(layer.module.forward, asked)
    tile = Tile(Segment(Span(0, 8), Span(0, 8)), Segment(Span(0, 8), Span(0, 8)))
    plan = TilePlan((8, 16), (tile,))
    (laid,), layout = lay_out([prompt(5), prompt(6, seed=2)])
    with attention_for(unet, RegionSetup((LEFT,)), layout)(ModelCall(plan, plan.tiles, 1)):
        unet(torch.randn(1, 4, 8, 8), context=laid)
    assert asked == [6, 6, 6, 6], "the region's tokens alone, four layers"


def test_a_negative_prompt_half_as_long_leaves_the_hosts_own_attention_at_work():
    """Prompts come in chunks of 77 tokens; of two chunks and one, the shorter is repeated and nothing is masked."""
    unet = ldm_unet()
    everywhere = RegionSetup((Region(Rectangle(0, 0, 1, 1)),))
    x, positive, negative = torch.randn(2, 4, 8, 8), prompt(6, seed=1), prompt(3, seed=2)
    expected = torch.cat([unet(x[:1], context=positive), unet(x[1:], context=negative)])
    asked = []
    for layer in cross_attention_layers(unet):
        layer.module.forward = recorded(layer.module.forward, asked)
    result = regional("ldm", unet, everywhere, x, [prompt(5), positive], [prompt(5), negative])
    assert asked == [6, 6, 6, 6]
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


def recorded(forward, asked):
    def recording(x, context=None, **kwargs):
        asked.append(context.shape[1])
        return forward(x, context=context, **kwargs)

    return recording


@KINDS
def test_layers_are_called_through_their_own_forward(kind, monkeypatch):
    """As the WebUI's LoRA needs it, which replaces Linear.forward."""
    unet = UNETS[kind][0]()
    x = torch.randn(1, 4, 8, 8)
    prompts = [prompt(5), prompt(6, seed=2)]
    plain = regional(kind, unet, RegionSetup((LEFT,)), x, prompts)
    linear = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, value: 1.1 * linear(self, value))
    with_lora = regional(kind, unet, RegionSetup((LEFT,)), x, prompts)
    scale_weights(unet, 1.1)
    monkeypatch.undo()
    assert not torch.allclose(with_lora, plain, atol=1e-4)
    assert torch.allclose(with_lora, regional(kind, unet, RegionSetup((LEFT,)), x, prompts), atol=1e-5)


def scale_weights(unet, factor):
    for module in unet.modules():
        if isinstance(module, nn.Linear):
            for parameter in module.parameters():
                parameter.data.mul_(factor)


@KINDS
@pytest.mark.parametrize("fails", [False, True])
def test_after_a_call_every_module_is_as_it_was(kind, fails):
    unet = UNETS[kind][0]()
    layers = cross_attention_layers(unet)
    own_forward = layers[0].module.forward
    layers[0].module.forward = own_forward
    if fails:
        layers[-1].module.to_v.register_forward_hook(interrupt)
    before = everything_attached(unet)
    x, prompts = torch.randn(1, 4, 8, 8), [prompt(5), prompt(6)]
    with pytest.raises(InterruptedError) if fails else nullcontext():
        regional(kind, unet, RegionSetup((LEFT,)), x, prompts)
    assert everything_attached(unet) == before
    assert vars(layers[0].module)["forward"] is own_forward


def interrupt(*_):
    raise InterruptedError


def test_without_a_layout_nothing_is_touched():
    unet = ldm_unet()
    before = everything_attached(unet)
    with RegionalAttention([unet], RegionSetup((LEFT,)))(ModelCall(whole(8, 8), whole(8, 8).tiles, 1)):
        assert everything_attached(unet) == before


def test_keys_and_values_may_be_made_of_what_the_host_prepares():
    unet = ldm_unet()
    x, prompts = torch.randn(1, 4, 8, 8), [prompt(5), prompt(7, seed=2)]
    (laid,), layout = lay_out(prompts)
    attention = RegionalAttention([unet], RegionSetup((LEFT,)), prepare_context=lambda _, c: (2 * c, 3 * c))
    attention.layout = layout
    with attention(ModelCall(whole(8, 8), whole(8, 8).tiles, 1)):
        result = unet(x, context=laid)
    for layer in cross_attention_layers(unet):
        layer.module.to_k.weight.data.mul_(2)
        layer.module.to_v.weight.data.mul_(3)
    assert torch.allclose(result, regional("ldm", unet, RegionSetup((LEFT,)), x, prompts), atol=1e-5)


def test_a_model_without_cross_attention_is_refused():
    with pytest.raises(ValueError, match="regions need a UNet with cross-attention"):
        cross_attention_layers(nn.Sequential(nn.Linear(2, 2)))


def test_a_mask_of_the_hosts_own_is_refused():
    unet = ldm_unet()
    module = unet.attention[0].transformer_blocks[0].attn2
    assert isinstance(module, LdmCrossAttention)
    (laid,), layout = lay_out([prompt(5), prompt(6)])
    with attention_for(unet, RegionSetup((LEFT,)), layout)(ModelCall(whole(8, 8), whole(8, 8).tiles, 1)):
        unet(torch.randn(1, 4, 8, 8), context=laid)
        with pytest.raises(ValueError, match="cannot be combined with a mask"):
            module(torch.randn(1, 64, 8), context=laid, mask=torch.ones(1, 11))


@KINDS
def test_a_model_says_whether_it_reads_prompts_and_of_what_width(kind):
    unet = UNETS[kind][0]()
    assert has_cross_attention(unet)
    assert context_width(unet) == CONTEXT_CHANNELS
    with pytest.raises(AttributeError, match="cannot assign"):
        cross_attention_layers(unet)[0].module = None


def test_a_model_without_prompts_says_so():
    plain = nn.Sequential(nn.Linear(2, 2))
    assert not has_cross_attention(plain)
    assert context_width(plain) is None
    assert context_width(None) is None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": True, "out_bias": False},
        pytest.param(
            {"qk_norm": "layer_norm"},
            marks=pytest.mark.skipif(
                "norm_q" not in inspect.getsource(AttnProcessor2_0),
                reason="this diffusers leaves those norms out",
            ),
        ),
        {"residual_connection": True, "rescale_output_factor": 2.0},
        {"upcast_attention": True},
    ],
    ids=str,
)
def test_a_layer_asked_about_one_prompt_answers_as_by_itself(options):
    torch.manual_seed(0)
    layer = Attention(query_dim=8, cross_attention_dim=CONTEXT_CHANNELS, heads=2, dim_head=4, **options).eval()
    x, context = torch.randn(2, 9, 8), prompt(5, rows=2)
    expected = layer(x, encoder_hidden_states=context)
    assert torch.allclose(attend(layer, x, (context, context)), expected, atol=1e-6)
    assert torch.allclose(attend(layer, x, (context, context), upcast=True), expected, atol=1e-6)


def test_keys_and_values_are_told_apart():
    layer = LdmCrossAttention(8, CONTEXT_CHANNELS)
    x, keys, values = torch.randn(1, 9, 8), prompt(5, seed=1), prompt(5, seed=2)
    q, k, v = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in (layer.to_q(x), layer.to_k(keys), layer.to_v(values)))
    expected = layer.to_out(of_another_library(q, k, v).transpose(1, 2).flatten(2))
    assert torch.allclose(attend(layer, x, (keys, values)), expected, atol=1e-6)
