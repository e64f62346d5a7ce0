"""Regions that are bound for the first evaluations: none sees another, and then all is as without."""

from __future__ import annotations

import pytest
import torch
from half_precision import half_precision
from regional import KINDS, LEFT, attention_for, everything_attached, prompt, whole
from tiny_unets import UNETS, ldm_unet
from torch import nn

from lib_instantas.attention import RegionalAttention
from lib_instantas.attention_layers import cross_attention_layers
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import ModelCall
from lib_instantas.regions import Region, RegionSetup

pytestmark = pytest.mark.usefixtures("_no_gradients")


def bound(unet, setup, layout, evaluations):
    attention = RegionalAttention([unet], setup, binding=evaluations)
    attention.layout = layout
    return attention


def left_and_right(module, transformer, attention, evaluation, right):
    """What self-attention answers on the left half, which is one region, with these features on the right."""
    plan, x = whole(8, 8), torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    x[..., 4:] = right
    with attention(ModelCall(plan, plan.tiles, 1, evaluation)):
        transformer(torch.zeros(1, 8, 8, 8), attention.laid)
        return module(x.flatten(2).transpose(1, 2)).unflatten(1, (8, 8))[:, :, :4]


@pytest.mark.parametrize("evaluation", [0, 1, 2, 3])
def test_regions_that_are_bound_do_not_see_each_other_in_the_first_evaluations(evaluation):
    unet = ldm_unet()
    transformer = unet.attention[0]
    module = transformer.transformer_blocks[0].attn1
    (laid,), layout = lay_out([prompt(5), prompt(7, seed=2)])
    attention = bound(unet, RegionSetup((Region(LEFT.shape, weight=0.3, feather=0.5),)), layout, 2)
    attention.laid = laid
    one, other = (left_and_right(module, transformer, attention, evaluation, right) for right in (0.0, 5.0))
    assert torch.allclose(one, other, atol=1e-6) is (evaluation < 2)
    alone = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(1))[..., :4]
    expected = module(alone.flatten(2).transpose(1, 2)).unflatten(1, (8, 4))
    assert torch.allclose(one, expected, atol=1e-6) is (evaluation < 2)


@KINDS
def test_binding_is_over_after_its_evaluations_and_leaves_nothing_behind(kind):
    unet, call = UNETS[kind][0](), UNETS[kind][1]
    (laid,), layout = lay_out([prompt(5), prompt(7, seed=2)])
    plan, x, setup = whole(8, 8), torch.randn(1, 4, 8, 8), RegionSetup((LEFT,))
    before = everything_attached(unet)

    def answers(attention):
        for evaluation in range(3):
            with attention(ModelCall(plan, plan.tiles, 1, evaluation)):
                yield call(unet, x, laid)

    free, held = list(answers(attention_for(unet, setup, layout))), list(answers(bound(unet, setup, layout, 2)))
    assert [torch.equal(a, b) for a, b in zip(free, held, strict=True)] == [False, False, True]
    assert torch.equal(held[0], held[1])
    assert everything_attached(unet) == before


def test_bound_regions_in_half_precision_are_as_near_as_free_ones():
    unet = ldm_unet()
    (laid,), layout = lay_out([prompt(5), prompt(7, seed=2)])
    plan, x, setup = whole(8, 8), torch.randn(1, 4, 8, 8), RegionSetup((LEFT,))
    with bound(unet, setup, layout, 1)(ModelCall(plan, plan.tiles, 1)):
        expected = unet(x, context=laid)
    unet.half()
    with half_precision(), bound(unet, setup, layout, 1)(ModelCall(plan, plan.tiles, 1)):
        half = unet(x.half(), context=laid.half())
    assert (half.float() - expected).abs().mean() < 2e-3 * expected.abs().mean().clamp(min=1)


@pytest.mark.parametrize("flag", ["disable_self_attn", "only_cross_attention"])
def test_a_block_that_reads_the_prompt_twice_has_two_layers_and_no_self_attention(flag):
    unet = ldm_unet()
    block = unet.attention[1].transformer_blocks[0]
    setattr(block, flag, True)
    both = [block.attn1, block.attn2]
    assert [layer.module for layer in cross_attention_layers(unet) if layer.module in both] == both
    bound_layers = RegionalAttention([unet], RegionSetup((LEFT,)), binding=1).within
    assert [layer.module for layer in bound_layers] == [
        unet.attention[i].transformer_blocks[0].attn1 for i in (0, 2, 3)
    ]
    assert RegionalAttention([unet], RegionSetup((LEFT,))).within == ()


@pytest.mark.parametrize("something", [None, nn.Identity()])
def test_only_what_has_the_parts_of_attention_is_bound(something):
    unet = ldm_unet()
    unet.attention[0].transformer_blocks[0].attn1 = something
    assert len(RegionalAttention([unet], RegionSetup((LEFT,)), binding=1).within) == 3
    unet.attention[0].transformer_blocks[0].attn2 = something
    assert len(cross_attention_layers(unet)) == 3


@pytest.mark.parametrize("second", [(4, 8), (8, 4), (16, 8), (8, 16)])
def test_only_the_first_canvas_is_bound(second):
    """A second pass begins with a picture, and its layout with it."""
    unet = ldm_unet()
    (laid,), layout = lay_out([prompt(5), prompt(7, seed=2)])
    free, held = attention_for(unet, RegionSetup((LEFT,)), layout), bound(unet, RegionSetup((LEFT,)), layout, 9)

    def same(size):
        x, call = torch.randn(1, 4, *size), ModelCall(whole(*size), whole(*size).tiles, 1)
        answers = []
        for attention in (free, held):
            with attention(call):
                answers.append(unet(x, context=laid))
        return torch.equal(*answers)

    assert [same((8, 8)), same(second), same((8, 8))] == [False, True, False]


def takes_the_context(unet, module):
    unet.attention[0].transformer_blocks[0].norm1.register_forward_hook(
        lambda *_: module(torch.zeros(1, 64, 8), prompt(3))
    )


def replaces_the_layer(unet, module):
    module.forward = recorded_without_context(module.forward)


def recorded_without_context(forward):
    return lambda x, context=None, **kwargs: forward(x, context=context, **kwargs)


def adds_tokens(unet, module):
    module.register_forward_pre_hook(lambda _, args: (torch.cat([args[0], args[0][:, :1]], 1), *args[1:]))


def drops_tokens(unet, module):
    module.register_forward_pre_hook(lambda _, args: (args[0][:, 1:], *args[1:]))


@pytest.mark.parametrize("change", [takes_the_context, replaces_the_layer, adds_tokens, drops_tokens])
def test_what_changes_self_attention_cannot_be_combined_with_binding(change):
    unet = ldm_unet()
    change(unet, unet.attention[0].transformer_blocks[0].attn1)
    (laid,), layout = lay_out([prompt(5), prompt(7, seed=2)])
    call = ModelCall(whole(8, 8), whole(8, 8).tiles, 1)
    with (
        bound(unet, RegionSetup((LEFT,)), layout, 1)(call),
        pytest.raises(ValueError, match="region_binding must be 0"),
    ):
        unet(torch.randn(1, 4, 8, 8), context=laid)
