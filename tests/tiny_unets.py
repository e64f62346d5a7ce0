"""Small UNets with random weights: attention laid out as in ldm and sgm (attributes and calls), and diffusers' own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import nn

CONTEXT_CHANNELS = 12


class LdmCrossAttention(nn.Module):
    """Plain softmax attention with the attributes of ldm.modules.attention.CrossAttention."""

    def __init__(self, query_dim, context_dim, heads=2, dim_head=4):
        super().__init__()
        inner = heads * dim_head
        self.heads, self.scale = heads, dim_head**-0.5
        self.to_q = nn.Linear(query_dim, inner, bias=False)
        self.to_k = nn.Linear(context_dim, inner, bias=False)
        self.to_v = nn.Linear(context_dim, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, query_dim), nn.Dropout(0.0))

    def forward(self, x, context=None, mask=None):
        context = x if context is None else context
        q, k, v = (t.unflatten(-1, (self.heads, -1)) for t in (self.to_q(x), self.to_k(context), self.to_v(context)))
        scores = torch.einsum("bihd,bjhd->bhij", q, k) * self.scale
        out = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v)
        return self.to_out(out.flatten(2))


class SgmCrossAttention(LdmCrossAttention):
    """The same with the further arguments that sgm's blocks pass."""

    def forward(self, x, context=None, mask=None, additional_tokens=None, n_times_crossframe_attn_in_self=0):
        return super().forward(x, context, mask)


class LdmBlock(nn.Module):
    disable_self_attn = False

    def __init__(self, dim, context_dim):
        super().__init__()
        self.attn1, self.attn2 = LdmCrossAttention(dim, dim), LdmCrossAttention(dim, context_dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x, context):
        x = x + self.attn1(self.norm1(x), context=None)
        return x + self.attn2(self.norm2(x), context=context)


class SgmBlock(LdmBlock):
    def __init__(self, dim, context_dim):
        super().__init__(dim, context_dim)
        self.attn1, self.attn2 = SgmCrossAttention(dim, dim), SgmCrossAttention(dim, context_dim)

    def forward(self, x, context):
        x = x + self.attn1(self.norm1(x), context=None, additional_tokens=None, n_times_crossframe_attn_in_self=0)
        return x + self.attn2(self.norm2(x), context=context, additional_tokens=None)


class SpatialTransformer(nn.Module):
    def __init__(self, dim, context_dim, block, depth):
        super().__init__()
        self.transformer_blocks = nn.ModuleList(block(dim, context_dim) for _ in range(depth))

    def forward(self, x, context=None):
        tokens = x.flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return x + tokens.transpose(1, 2).unflatten(2, x.shape[-2:])


class TinyUNet(nn.Module):
    """Attention at three resolutions, going down by strided convolutions and up to the size of the skipped features."""

    def __init__(self, block, depth, dim=8):
        super().__init__()
        self.enter, self.leave = nn.Conv2d(4, dim, 3, padding=1), nn.Conv2d(dim, 4, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(dim, dim, 3, stride=2, padding=1) for _ in range(2))
        self.attention = nn.ModuleList(SpatialTransformer(dim, CONTEXT_CHANNELS, block, depth) for _ in range(4))

    def forward(self, x, timesteps=None, context=None, y=None):
        fine = self.attention[0](self.enter(x), context)
        middle = self.attention[1](self.down[0](fine), context)
        coarse = self.attention[2](self.down[1](middle), context)
        middle = self.attention[3](middle + F.interpolate(coarse, middle.shape[-2:]), context)
        return self.leave(fine + F.interpolate(middle, fine.shape[-2:]))


def ldm_unet() -> TinyUNet:
    torch.manual_seed(0)
    return TinyUNet(LdmBlock, depth=1).eval()


def sgm_unet() -> TinyUNet:
    torch.manual_seed(0)
    return TinyUNet(SgmBlock, depth=3).eval()


def diffusers_unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=CONTEXT_CHANNELS,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()


def call_ldm(unet, x, context):
    return unet(x, context=context)


def call_diffusers(unet, x, context):
    return unet(x, torch.tensor(500), encoder_hidden_states=context).sample


def unet_of_four_levels() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(4, 4, 8, 8),
        norm_num_groups=2,
        cross_attention_dim=12,
        attention_head_dim=2,
        layers_per_block=2,
    )


UNETS = {
    "ldm": (ldm_unet, call_ldm),
    "sgm": (sgm_unet, call_ldm),
    "diffusers": (diffusers_unet, call_diffusers),
}
