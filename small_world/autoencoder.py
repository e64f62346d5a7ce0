"""KL autoencoder in the layout of Stable Diffusion 1.x: factor 8, 4 latent channels.

Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models", sections 3.1 and G. Weights are
named as in such files, without their prefix `first_stage_model.`. Pictures are [B, 3, H, W] in -1..1, latents
[B, 4, H/8, W/8].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from small_world.blocks import ConvIn, anchor, conv3, quiet
from small_world.norm import Norm

BASE = 96
"""Three channels to a group of the normalisations: with two, flat colour gets lost."""
MULTIPLES = (1, 1, 1, 1)
BLOCKS = 0
"""Blocks per level of the encoder; the decoder has one more."""
LATENT = 4
GAIN = 1.05


class ResnetBlock(nn.Module):
    """Two normalised convolutions around a skip connection."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = Norm(channels), anchor(conv3(channels, out))
        self.norm2, self.conv2 = Norm(out), quiet(conv3(out, out))
        if channels != out:
            self.nin_shortcut = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, out, H, W]."""
        h = self.conv1(self.norm1(x, silu=True))
        h = self.conv2(self.norm2(h, silu=True))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttnBlock(nn.Module):
    """Self-attention with one head over all positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))
        quiet(self.proj_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, H, W]."""
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2).contiguous() for layer in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return x + self.proj_out(out.transpose(1, 2).reshape(x.shape))


class _Mid(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1, self.attn_1 = ResnetBlock(channels, channels), AttnBlock(channels)
        self.block_2 = ResnetBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class _Level(nn.Module):
    def __init__(self, channels: int, out: int, blocks: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(channels if i == 0 else out, out) for i in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return x


class Encoder(nn.Module):
    """Picture to mean and log variance of the latent, [B, 8, H/8, W/8]."""

    def __init__(self) -> None:
        super().__init__()
        widths = [BASE * multiple for multiple in MULTIPLES]
        self.conv_in = anchor(conv3(3, BASE))
        self.down = nn.ModuleList()
        for index, (before, width) in enumerate(zip([BASE, *widths], widths, strict=False)):
            level = _Level(before, width, BLOCKS)
            if index < len(widths) - 1:
                level.downsample = ConvIn(anchor(conv3(width, width, stride=2, padding=0)))
            self.down.append(level)
        self.mid = _Mid(widths[-1])
        self.norm_out, self.conv_out = Norm(widths[-1]), conv3(widths[-1], 2 * LATENT)

    def forward(self, x: Tensor) -> Tensor:
        """Return the moments before `quant_conv`."""
        h = self.conv_in(x)
        for level in self.down:
            h = level(h)
            if hasattr(level, "downsample"):
                h = level.downsample(F.pad(h, (0, 1, 0, 1)))  # type: ignore[operator]
        return self.conv_out(self.norm_out(self.mid(h), silu=True))


class Decoder(nn.Module):
    """Latent (after `post_quant_conv`) to picture."""

    def __init__(self) -> None:
        super().__init__()
        widths = [BASE * multiple for multiple in MULTIPLES]
        self.conv_in = anchor(conv3(LATENT, widths[-1]))
        self.mid = _Mid(widths[-1])
        levels: list[_Level] = []
        for index, width in reversed(list(enumerate(widths))):
            level = _Level(widths[min(index + 1, len(widths) - 1)], width, BLOCKS + 1)
            if index > 0:
                level.upsample = ConvIn(anchor(conv3(width, width)))
            levels.insert(0, level)
        self.up = nn.ModuleList(levels)
        self.norm_out, self.conv_out = Norm(BASE), conv3(BASE, 3)

    def forward(self, z: Tensor) -> Tensor:
        """Return the picture [B, 3, 8h, 8w]."""
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
            if hasattr(level, "upsample"):
                h = level.upsample(F.interpolate(h, scale_factor=2.0, mode="nearest"))  # type: ignore[operator]
        return self.conv_out(self.norm_out(h, silu=True))


class Autoencoder(nn.Module):
    """Encoder, decoder and the two 1x1 convolutions between them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.quant_conv = nn.Conv2d(2 * LATENT, 2 * LATENT, 1)
        self.post_quant_conv = nn.Conv2d(LATENT, LATENT, 1)
        assert self.quant_conv.bias is not None
        # Noise of 0.1 at first: a unit Gaussian would drown the latents before they carry anything.
        nn.init.constant_(self.quant_conv.bias[LATENT:], -4.6)
        with torch.no_grad():
            _pass_through(self)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latent, each [B, 4, h, w]."""
        mean, log_variance = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, z: Tensor) -> Tensor:
        """Return the picture of a latent that is not scaled."""
        return self.decoder(self.post_quant_conv(z))

    @torch.no_grad()
    def rescale(self, mean: Tensor, std: Tensor) -> None:
        """Fold a normalisation into the weights: afterwards latents are (latent - mean) / std, channel by channel."""
        logvar_shift = -2 * std.log()
        self.quant_conv.weight[:LATENT] /= std[:, None, None, None]
        assert self.quant_conv.bias is not None
        assert self.post_quant_conv.bias is not None
        self.quant_conv.bias[:LATENT] = (self.quant_conv.bias[:LATENT] - mean) / std
        self.quant_conv.bias[LATENT:] += logvar_shift
        self.post_quant_conv.bias += self.post_quant_conv.weight[:, :, 0, 0] @ mean
        self.post_quant_conv.weight *= std[None, :, None, None]


def _pass_through(model: Autoencoder) -> None:
    """Begin with latents that are the mean colours of 8x8 pixels, and a decoder that shows them, blurred.

    Each group of the normalisations has three channels: a colour c (or its negative) and two anchors, K and -K.
    Normalised, all three are shifted by the picture's mean colour alike; because silu(x) - silu(-x) = x, the sum over
    a positive and a negative group of silu(c) - silu(K) - silu(-K) undoes shift and curve, up to the factor GAIN.
    """
    average = torch.zeros(3, 3)
    average[:2, :2] = 0.25
    smooth = torch.outer(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.25, 0.5, 0.25]))
    for kernel, levels in ((average, model.encoder.down), (smooth, model.decoder.up)):
        for conv in (module.conv for module in levels.modules() if isinstance(module, ConvIn)):
            conv.weight.copy_(torch.eye(BASE)[:, :, None, None] * kernel)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    for conv in (model.encoder.conv_in, model.decoder.conv_in):
        nn.init.normal_(conv.weight, std=0.02)
        conv.bias[::3] = 0  # type: ignore[index]
        for group in range(30):
            conv.weight[3 * group] = 0
            conv.weight[3 * group, group % 3, 1, 1] = (-1.0) ** (group // 3)
    for conv in (model.encoder.conv_out, model.decoder.conv_out):
        nn.init.normal_(conv.weight, std=0.02)
        conv.weight[:3] = 0
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        for group in range(30):
            pattern = torch.tensor([1.0, -1.0, -1.0]) * (-1.0) ** (group // 3) * GAIN / 5
            conv.weight[group % 3, 3 * group : 3 * group + 3, 1, 1] = pattern
    for conv in (model.quant_conv, model.post_quant_conv):
        nn.init.dirac_(conv.weight)
        conv.bias[:LATENT] = 0  # type: ignore[index]
