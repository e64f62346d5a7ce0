"""Regional attention: every prompt acts where its region is, in proportion to its share."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch
from half_precision import half_precision
from regional import KINDS, LEFT, attention_for, loop_over_halves, prompt, regional, whole
from tiny_unets import CONTEXT_CHANNELS, UNETS, diffusers_unet, ldm_unet
from torch import nn
from torch.overrides import TorchFunctionMode

from lib_instantas.attention import RegionalAttention
from lib_instantas.attention_layers import cross_attention_layers
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import ModelCall, TiledDenoiser
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.shapes import Rectangle
from lib_instantas.tiling import Segment, Span, Tile, TilePlan

pytestmark = pytest.mark.usefixtures("_no_gradients")

MIDDLE = Region(Rectangle(0.25, 0.25, 0.5, 0.5))


def per_region_softmax(module, x, prompts, masks):
    """The paper's eq. 10, one region after another: its queries only, its prompt only, put together."""
    out = torch.zeros_like(x)
    for tokens, mask in zip(prompts, masks, strict=True):
        for row in range(len(x)):
            inside = mask.flatten().bool()
            out[row, inside] = module(x[row : row + 1, inside], tokens[row : row + 1])[0]
    return out


def test_hard_masks_are_exactly_the_papers_softmax_per_region():
    unet = ldm_unet()
    module = unet.attention[0].transformer_blocks[0].attn2
    prompts = [prompt(5, 2, 1), prompt(9, 2, 2), prompt(3, 2, 3)]
    setup = RegionSetup((LEFT, MIDDLE), "upper")
    masks = [torch.zeros(8, 12), torch.zeros(8, 12), torch.zeros(8, 12)]
    masks[2][2:6, 3:9] = 1
    masks[1][:, :6] = 1 - masks[2][:, :6]
    masks[0] = 1 - masks[1] - masks[2]
    (laid,), layout = lay_out(prompts)
    x = torch.randn(2, 96, 8)
    expected = per_region_softmax(module, x, prompts, masks)
    plan = whole(8, 12)
    with attention_for(unet, setup, layout)(ModelCall(plan, plan.tiles, 2)):
        unet.attention[0](torch.zeros(2, 8, 8, 12), laid)
        assert torch.allclose(module(x, context=laid), expected, atol=1e-6)


@KINDS
def test_a_whole_unet_with_hard_masks_equals_one_whose_layers_loop_over_the_regions(kind):
    unet, call = UNETS[kind][0](), UNETS[kind][1]
    prompts = [prompt(4, 1, 1), prompt(7, 1, 2)]
    x = torch.randn(1, 4, 8, 8)
    result = regional(kind, unet, RegionSetup((LEFT,)), x, prompts)
    with ExitStack() as stack:
        for layer in cross_attention_layers(unet):
            stack.callback(setattr, layer.module, "forward", layer.module.forward)
            layer.module.forward = loop_over_halves(layer.module.forward, prompts)
        expected = call(unet, x, prompts[0])
    assert torch.allclose(result, expected, atol=1e-5)


@KINDS
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (16, 6)])
@pytest.mark.parametrize("feather", [0.0, 0.3])
def test_regions_of_the_main_prompt_change_nothing(kind, size, feather):
    unet, call = UNETS[kind][0](), UNETS[kind][1]
    x, main = torch.randn(1, 4, *size), prompt(5)
    setup = RegionSetup((Region(LEFT.shape, feather=feather), Region(MIDDLE.shape, feather=feather, weight=0.7)))
    result = regional(kind, unet, setup, x, [main, main, main])
    assert torch.allclose(result, call(unet, x, main), atol=1e-5)


@KINDS
def test_a_region_that_covers_everything_is_its_prompt_alone(kind):
    unet, call = UNETS[kind][0](), UNETS[kind][1]
    x, other = torch.randn(1, 4, 8, 8), prompt(9, seed=2)
    setup = RegionSetup((Region(Rectangle(0, 0, 1, 1)),))
    assert torch.allclose(regional(kind, unet, setup, x, [prompt(5), other]), call(unet, x, other), atol=1e-6)


@KINDS
def test_rows_of_unequal_token_counts_do_not_see_their_padding(kind):
    unet = UNETS[kind][0]()
    x = torch.randn(2, 4, 8, 8)
    setup = RegionSetup((LEFT,))
    positive, negative = [prompt(5, 1, 1), prompt(11, 1, 2)], [prompt(8, 1, 3), prompt(4, 1, 4)]
    together = regional(kind, unet, setup, x, positive, negative)
    alone = [regional(kind, unet, setup, x[i : i + 1], group) for i, group in enumerate((positive, negative))]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_a_padded_slot_that_fills_the_whole_call_is_masked_too():
    unet = ldm_unet()
    x = torch.randn(2, 4, 8, 8)
    setup = RegionSetup((Region(Rectangle(0, 0, 1, 1)),))
    result = regional("ldm", unet, setup, x, [prompt(5), prompt(11, 1, 2)], [prompt(5), prompt(4, 1, 4)])
    expected = torch.cat([unet(x[:1], context=prompt(11, 1, 2)), unet(x[1:], context=prompt(4, 1, 4))])
    assert torch.allclose(result, expected, atol=1e-5)


def test_a_mark_that_the_unet_strips_from_the_front_shifts_no_slot():
    unet = ldm_unet()
    x, prompts = torch.randn(1, 4, 8, 8), [prompt(5), prompt(7, seed=2)]
    expected = regional("ldm", unet, RegionSetup((LEFT,)), x, prompts)
    marked = [torch.cat([torch.full((1, 1, CONTEXT_CHANNELS), 255.0), prompts[0]], 1), prompts[1]]
    (laid,), layout = lay_out(marked)
    with attention_for(unet, RegionSetup((LEFT,)), layout)(ModelCall(whole(8, 8), whole(8, 8).tiles, 1)):
        assert torch.allclose(unet(x, context=laid[:, 1:]), expected, atol=1e-6)


def test_a_feathered_border_blends_from_one_prompt_to_the_other():
    unet = ldm_unet()
    module = unet.attention[0].transformer_blocks[0].attn2
    first, second = prompt(5, seed=1), prompt(5, seed=2)
    (laid,), layout = lay_out([first, second])
    setup = RegionSetup((Region(LEFT.shape, feather=1.0),))
    query = torch.randn(1, 1, 8)
    with attention_for(unet, setup, layout)(ModelCall(whole(16, 16), whole(16, 16).tiles, 1)):
        unet.attention[0](torch.zeros(1, 8, 16, 16), laid)
        row = module(query.expand(1, 256, 8), context=laid)[0].unflatten(0, (16, 16))[8]
    towards = module(query, context=first)[0, 0] - module(query, context=second)[0, 0]
    progress = (row - module(query, context=second)[0, 0]) @ towards / (towards @ towards)
    assert (progress.diff() > 0).all(), "steadily from the region on the left to the main prompt on the right"
    assert progress[0] < 0.15
    assert progress[-1] > 0.85


def test_where_regions_share_a_query_their_answers_are_added_in_proportion():
    """Eq. 10 of the paper, with masks between 0 and 1."""
    unet = ldm_unet()
    module = unet.attention[0].transformer_blocks[0].attn2
    prompts = [prompt(5, 1, 1), prompt(9, 1, 2), prompt(4, 1, 3)]
    (laid,), layout = lay_out(prompts)
    shares = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(4))
    shares /= shares.sum(0)
    x = torch.randn(1, 256, 8)
    expected = module.to_out[0].bias + sum(
        share.flatten()[None, :, None] * (module(x, context=tokens) - module.to_out[0].bias)
        for share, tokens in zip(shares, prompts, strict=True)
    )
    with attention_for(unet, FixedShares(shares), layout)(ModelCall(whole(16, 16), whole(16, 16).tiles, 1)):
        unet.attention[0](torch.zeros(1, 8, 16, 16), laid)
        assert torch.allclose(module(x, context=laid), expected, atol=1e-6)


def test_a_blend_does_not_lean_to_the_longer_prompt():
    unet = ldm_unet()
    x, main = torch.randn(1, 4, 8, 8), prompt(5)
    half = RegionSetup((Region(Rectangle(0, 0, 1, 1), weight=0.5),))
    other = prompt(5, seed=2)
    twice = torch.cat([other, other], dim=1)
    once = regional("ldm", unet, half, x, [main, other])
    assert torch.allclose(regional("ldm", unet, half, x, [main, twice]), once, atol=1e-5)


def test_tiles_get_their_part_of_the_masks():
    unet = ldm_unet()
    setup, prompts = RegionSetup((MIDDLE,)), [prompt(5, 2, 1), prompt(6, 2, 2)]
    (laid,), layout = lay_out(prompts)
    segments = Segment(Span(0, 8), Span(0, 8)), Segment(Span(8, 16), Span(8, 16))
    tiles = tuple(Tile(y, x) for y in segments for x in segments)
    plan = TilePlan((16, 16), tiles, shift=(3, 5))
    x = torch.randn(8, 4, 8, 8)
    with attention_for(unet, setup, layout)(ModelCall(plan, tiles, 2)):
        together = unet(x, context=laid.repeat(4, 1, 1))
    mask = torch.roll(setup.shares((16, 16)), (-3, -5), (-2, -1))
    for i, tile in enumerate(tiles):
        seen = mask[:, tile.y.keep.start : tile.y.keep.stop, tile.x.keep.start : tile.x.keep.stop]
        expected = with_shares(unet, seen, laid, layout, x[2 * i : 2 * i + 2])
        assert torch.allclose(together[2 * i : 2 * i + 2], expected, atol=1e-5)


class FixedShares(RegionSetup):
    """A setup whose shares are given, to ask for one tile without any cutting."""

    def __init__(self, shares):
        object.__setattr__(self, "given", shares)

    def shares(self, size, closed=(False, False)):
        return self.given


def with_shares(unet, shares, laid, layout, x):
    attention = attention_for(unet, FixedShares(shares), layout)
    with attention(ModelCall(whole(8, 8), whole(8, 8).tiles, len(x))):
        return unet(x, context=laid)


def test_the_mask_follows_a_feature_map_of_any_size():
    """Some extensions shrink the features of the first blocks; the mask takes their size, not one reckoned."""
    unet = ldm_unet()
    shrink = unet.attention[0].register_forward_pre_hook(
        lambda _, args: (nn.functional.interpolate(args[0], (5, 3)), *args[1:]), prepend=True
    )
    stretch = unet.attention[0].register_forward_hook(lambda _, args, out: nn.functional.interpolate(out, (8, 8)))
    x, main = torch.randn(1, 4, 8, 8), prompt(5)
    result = regional("ldm", unet, RegionSetup((LEFT,)), x, [main, main])
    assert torch.allclose(result, unet(x, context=main), atol=1e-5)
    shrink.remove(), stretch.remove()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("upcast", [False, True])
def test_half_precision_is_about_as_near_to_fp32_as_without_regions(dtype, upcast):
    unet = ldm_unet()
    x, groups = torch.randn(1, 4, 8, 8), ([prompt(5), prompt(7, seed=2)],)
    setup = RegionSetup((Region(MIDDLE.shape, feather=0.4),))
    main = groups[0][0]
    expected, plain = regional("ldm", unet, setup, x, *groups), unet(x, context=main)
    (laid,), layout = lay_out(*groups)
    attention = RegionalAttention([unet.to(dtype)], setup, upcast=upcast)
    attention.layout = layout
    with half_precision():
        without = unet(x.to(dtype), context=main.to(dtype))
        with attention(ModelCall(whole(8, 8), whole(8, 8).tiles, 1)):
            half = unet(x.to(dtype), context=laid.to(dtype))
    assert half.dtype == dtype
    assert (half.float() - expected).abs().mean() < 2 * (without.float() - plain).abs().mean()


def test_scores_in_fp32_are_not_brought_down_by_autocast():
    unet = ldm_unet()
    kinds = []

    class Listening(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if func is nn.functional.scaled_dot_product_attention:
                kinds.append(result.dtype)
            return result

    (laid,), layout = lay_out([prompt(5), prompt(7, seed=2)])
    attention = RegionalAttention([unet], RegionSetup((LEFT,)), upcast=True)
    attention.layout = layout
    call = ModelCall(whole(8, 8), whole(8, 8).tiles, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16), attention(call), Listening():
        unet(torch.randn(1, 4, 8, 8), context=laid)
    assert kinds == [torch.float32] * 8, "for each prompt, in four layers"


def test_the_tiled_denoiser_takes_it_as_a_part():
    unet, evaluations = diffusers_unet(), []

    def model(x, sigma, context):
        evaluations.append(x.shape)
        return unet(x, sigma, encoder_hidden_states=context).sample

    main, other = prompt(5), prompt(6, seed=2)
    (laid,), layout = lay_out([main, other])
    attention = attention_for(unet, RegionSetup((LEFT,)), layout)
    segments = Segment(Span(0, 8), Span(0, 8)), Segment(Span(8, 16), Span(8, 16))
    plan = TilePlan((8, 16), tuple(Tile(segments[0], x) for x in segments))
    denoiser = TiledDenoiser(model, Fixed(plan), tile_batch=2, parts=(attention,))
    x = torch.randn(1, 4, 8, 16)
    result = denoiser(x, torch.tensor([500.0]), context=laid)
    halves = x.chunk(2, -1)
    left, right = (
        unet(part, 500, encoder_hidden_states=c).sample for part, c in zip(halves, (other, main), strict=True)
    )
    assert torch.allclose(result, torch.cat([left, right], -1), atol=1e-5)
    assert len(evaluations) == 1


class Fixed:
    def __init__(self, tile_plan):
        self.tile_plan = tile_plan

    def plan(self, evaluation):
        return self.tile_plan


def test_feathers_go_around_only_where_the_canvas_is_closed():
    setup = RegionSetup((Region(Rectangle(0.5, 0.5, 0.5, 0.5), feather=0.5),))
    for closed in ((False, False), (True, False), (False, True)):
        shares = RegionalAttention([ldm_unet()], setup, closed=closed).shares((8, 8))
        assert torch.equal(shares, setup.shares((8, 8), closed))
    assert torch.equal(RegionalAttention([ldm_unet()], setup).shares((8, 8)), setup.shares((8, 8)))
