import inspect
from contextlib import ExitStack, nullcontext

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from half_precision import half_precision
from tiny_unets import CONTEXT_CHANNELS, UNETS, LdmCrossAttention, diffusers_unet, ldm_unet
from torch import nn
from torch.overrides import TorchFunctionMode

from lib_instantas.attention import RegionalAttention, attend
from lib_instantas.attention_layers import context_width, cross_attention_layers, has_cross_attention
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import ModelCall, TiledDenoiser
from lib_instantas.methods import Direct
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.shapes import Rectangle
from lib_instantas.tiling import Segment, Span, Tile, TilePlan

pytestmark = pytest.mark.usefixtures("_no_gradients")
KINDS = pytest.mark.parametrize("kind", list(UNETS))
LEFT = Region(Rectangle(0, 0, 0.5, 1))
MIDDLE = Region(Rectangle(0.25, 0.25, 0.5, 0.5))


@pytest.fixture
def _no_gradients():
    with torch.inference_mode():
        yield


def prompt(tokens, rows=1, seed=0):
    return torch.randn(rows, tokens, CONTEXT_CHANNELS, generator=torch.Generator().manual_seed(seed))


def whole(height, width):
    return Direct((height, width)).plan(0)


def attention_for(unet, setup, layout):
    attention = RegionalAttention([unet], setup)
    attention.layout = layout
    return attention


def regional(kind, unet, setup, x, *groups):
    """The UNet's answer for the canvas x, its rows being those of the groups one after another."""
    laid, layout = lay_out(*groups)
    call = ModelCall(whole(*x.shape[-2:]), whole(*x.shape[-2:]).tiles, len(x))
    with attention_for(unet, setup, layout)(call):
        return UNETS[kind][1](unet, x, torch.cat(laid))


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


def loop_over_halves(original, prompts):
    def forward(x, **_):
        side = round(x.shape[1] ** 0.5)
        is_left = (torch.arange(side) < side / 2).repeat(side)
        out = original(x, prompts[0])
        out[:, is_left] = original(x[:, is_left], prompts[1])
        return out

    return forward


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
    assert torch.allclose(result, expected, atol=1e-6)


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


def of_another_library(q, k, v):
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


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


def everything_attached(unet):
    return [(dict(vars(m)), dict(m._forward_pre_hooks), dict(m._forward_pre_hooks_with_kwargs)) for m in unet.modules()]


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


def test_feathers_go_around_only_where_the_canvas_is_closed():
    setup = RegionSetup((Region(Rectangle(0.5, 0.5, 0.5, 0.5), feather=0.5),))
    for closed in ((False, False), (True, False), (False, True)):
        shares = RegionalAttention([ldm_unet()], setup, closed=closed).shares((8, 8))
        assert torch.equal(shares, setup.shares((8, 8), closed))
    assert torch.equal(RegionalAttention([ldm_unet()], setup).shares((8, 8)), setup.shares((8, 8)))


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
