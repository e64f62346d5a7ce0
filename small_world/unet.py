"""UNet with cross-attention in the layout of Stable Diffusion 1.x (`model.diffusion_model.` without that prefix).

Rombach et al. 2022, sections 3.2 and 3.3; Dhariwal & Nichol 2021. Predicts the noise in latents [B, 4, h, w] at
times [B] (0..999), given the text's features [B, tokens, 128].
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from small_world.autoencoder import LATENT
from small_world.blocks import ConvIn, anchor, conv3
from small_world.norm import Norm

BASE = 64
MULTIPLES = (1, 2, 2)
BLOCKS = 1
ATTENTION = (2, 4)
"""Downsampling factors at which there is attention: at the full 32x32 it would cost most and help least."""
HEADS = 4
CONTEXT = 128


def timestep_embedding(times: Tensor, width: int = BASE) -> Tensor:
    """Return the sinusoidal embedding [B, width] of times (Vaswani et al. 2017)."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(width // 2, device=times.device) / (width // 2))
    angles = times[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResBlock(nn.Module):
    """Two convolutions around a skip connection, with the time added in between."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(Norm(channels, 1e-5), nn.SiLU(), anchor(conv3(channels, out)))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(4 * BASE, out))
        last = conv3(out, out)
        nn.init.zeros_(last.weight)
        self.out_layers = nn.Sequential(Norm(out, 1e-5), nn.SiLU(), nn.Identity(), last)
        self.skip_connection = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, emb: Tensor, context: Tensor) -> Tensor:
        """Return [B, out, h, w]."""
        h = self.in_layers[2](self.in_layers[0](x, silu=True))
        h = h + self.emb_layers(emb)[:, :, None, None].to(h.dtype)
        return self.skip_connection(x) + self.out_layers[3](self.out_layers[0](h, silu=True))


class CrossAttention(nn.Module):
    """Attention to a context, or to the tokens themselves if there is none."""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = nn.Linear(context, width, bias=False), nn.Linear(context, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Identity())

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return [B, tokens, width]."""
        context = x if context is None else context
        projected = (self.to_q(x), self.to_k(context), self.to_v(context))
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in projected)
        return self.to_out(_attend(q, k, v).transpose(1, 2).flatten(2))


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if q.device.type == "cpu":
        # For so few tokens the fused kernel is up to thirty times slower on a CPU.
        return torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), dim=-1) @ v
    return F.scaled_dot_product_attention(q, k, v)


class GEGLU(nn.Module):
    """Gated linear unit (Shazeer 2020)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * out)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, tokens, out]."""
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * F.gelu(gate)


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class BasicTransformerBlock(nn.Module):
    """Self-attention, attention to the text, feed-forward."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = CrossAttention(width, width), CrossAttention(width, CONTEXT)
        self.ff = _FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return [B, tokens, width]."""
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """A transformer block over the pixels of a feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.proj_in = Norm(channels), nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(channels)])
        self.proj_out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.proj_out.weight)

    def forward(self, x: Tensor, emb: Tensor, context: Tensor) -> Tensor:
        """Return [B, C, h, w]."""
        h = self.proj_in(self.norm(x))
        tokens = self.transformer_blocks[0](h.flatten(2).transpose(1, 2), context)
        h = tokens.transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.proj_out(h.contiguous(memory_format=torch.channels_last))


class Downsample(nn.Module):
    """Halves height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = anchor(conv3(channels, channels, stride=2))

    def forward(self, x: Tensor, emb: Tensor, context: Tensor) -> Tensor:
        """Return [B, C, h/2, w/2]."""
        return self.op(x)


class Upsample(ConvIn):
    """Doubles height and width."""

    def forward(self, x: Tensor, emb: Tensor, context: Tensor) -> Tensor:  # type: ignore[override]
        """Return [B, C, 2h, 2w]."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Step(nn.Sequential):
    """Layers of one step on the way down or up; all but a plain convolution see time and text."""

    def forward(self, x: Tensor, emb: Tensor, context: Tensor) -> Tensor:  # type: ignore[override]
        """Return the features after all layers."""
        for layer in self:
            x = layer(x) if isinstance(layer, nn.Conv2d) else layer(x, emb, context)
        return x


class UNet(nn.Module):
    """The noise predictor."""

    def __init__(self) -> None:
        super().__init__()
        embedding = 4 * BASE
        self.time_embed = nn.Sequential(nn.Linear(BASE, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.input_blocks = nn.ModuleList([Step(anchor(conv3(LATENT, BASE)))])
        widths, channels = [BASE], BASE
        for level, multiple in enumerate(MULTIPLES):
            for _ in range(BLOCKS):
                self.input_blocks.append(_step(channels, multiple * BASE, level))
                channels = multiple * BASE
                widths.append(channels)
            if level < len(MULTIPLES) - 1:
                self.input_blocks.append(Step(Downsample(channels)))
                widths.append(channels)
        middle = (ResBlock(channels, channels), SpatialTransformer(channels), ResBlock(channels, channels))
        self.middle_block = Step(*middle)
        self.output_blocks = nn.ModuleList()
        for level, multiple in reversed(list(enumerate(MULTIPLES))):
            for block in range(BLOCKS + 1):
                step = _step(channels + widths.pop(), multiple * BASE, level)
                channels = multiple * BASE
                if level > 0 and block == BLOCKS:
                    step.append(Upsample(anchor(conv3(channels, channels))))
                self.output_blocks.append(step)
        last = conv3(BASE, LATENT)
        nn.init.zeros_(last.weight)
        self.out = nn.Sequential(Norm(BASE, 1e-5), nn.SiLU(), last)

    def forward(self, x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        """Return the predicted noise [B, 4, h, w]."""
        emb = self.time_embed(timestep_embedding(times))
        h, kept = x, []
        for step in self.input_blocks:
            h = step(h, emb, context)
            kept.append(h)
        h = self.middle_block(h, emb, context)
        for step in self.output_blocks:
            h = step(torch.cat([h, kept.pop()], dim=1), emb, context)
        return self.out[2](self.out[0](h, silu=True))


def _step(channels: int, out: int, level: int) -> Step:
    block = Step(ResBlock(channels, out))
    if 2**level in ATTENTION:
        block.append(SpatialTransformer(out))
    return block
