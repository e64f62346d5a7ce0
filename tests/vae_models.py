"""Small autoencoders with random weights: diffusers' own, and one laid out by ldm's attribute names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (8, 16, 24, 24)


def diffusers_autoencoder(channels: tuple[int, ...] = CHANNELS, seed: int = 0, groups: int = 4) -> AutoencoderKL:
    """An autoencoder shaped like that of SD 1.x, 2.x and SDXL, only narrower."""
    torch.manual_seed(seed)
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=groups,
    )
    return _shaken(model).eval()


def ldm_autoencoder(channels: tuple[int, ...] = CHANNELS, seed: int = 0, groups: int = 4) -> LdmAutoencoder:
    """The same network in the layout of CompVis' and Stability's repositories."""
    torch.manual_seed(seed)
    return _shaken(LdmAutoencoder(channels, groups)).eval()


def _shaken(model: nn.Module) -> nn.Module:
    """Norms with weights and biases of their own: at their initial 1 and 0 a mistake with them would not show."""
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.2)
    return model.requires_grad_(False)


class LdmAutoencoder(nn.Module):
    """encoder, quant_conv, post_quant_conv, decoder."""

    def __init__(self, channels: tuple[int, ...], groups: int) -> None:
        super().__init__()
        self.encoder = LdmEncoder(channels, groups)
        self.decoder = LdmDecoder(channels, groups)
        self.quant_conv = nn.Conv2d(8, 8, 1)
        self.post_quant_conv = nn.Conv2d(4, 4, 1)

    def encode(self, x: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z))


class LdmBlock(nn.Module):
    def __init__(self, before: int, after: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, before, eps=1e-6), nn.GroupNorm(groups, after, eps=1e-6)
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.use_conv_shortcut = False
        if before != after:
            self.nin_shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class LdmAttention(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))
        attention = torch.softmax(q.transpose(1, 2) @ k / q.shape[1] ** 0.5, dim=-1)
        return x + self.proj_out((v @ attention.transpose(1, 2)).unflatten(-1, x.shape[-2:]))


class LdmUpsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class LdmDownsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class LdmCoder(nn.Module):
    def make_middle(self, channels: int, groups: int) -> None:
        self.mid = nn.Module()
        self.mid.block_1, self.mid.block_2 = (LdmBlock(channels, channels, groups) for _ in range(2))
        self.mid.attn_1 = LdmAttention(channels, groups)

    def middle(self, h: Tensor) -> Tensor:
        return self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))


def _level(before: int, after: int, blocks: int, groups: int) -> nn.Module:
    level = nn.Module()
    level.block = nn.ModuleList(LdmBlock(before if i == 0 else after, after, groups) for i in range(blocks))
    level.attn = nn.ModuleList()
    return level


class LdmDecoder(LdmCoder):
    def __init__(self, channels: tuple[int, ...], groups: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(4, channels[-1], 3, padding=1)
        self.make_middle(channels[-1], groups)
        wider = (*channels[1:], channels[-1])
        self.up = nn.ModuleList(_level(wider[i], channels[i], 3, groups) for i in range(len(channels)))
        for i in range(1, len(channels)):
            self.up[i].upsample = LdmUpsample(channels[i])
        self.norm_out = nn.GroupNorm(groups, channels[0], eps=1e-6)
        self.conv_out = nn.Conv2d(channels[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.middle(self.conv_in(z))
        for i in reversed(range(len(self.up))):
            for block in self.up[i].block:
                h = block(h)
            if i != 0:
                h = self.up[i].upsample(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class LdmEncoder(LdmCoder):
    def __init__(self, channels: tuple[int, ...], groups: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels[0], 3, padding=1)
        narrower = (channels[0], *channels[:-1])
        self.down = nn.ModuleList(_level(narrower[i], channels[i], 2, groups) for i in range(len(channels)))
        for i in range(len(channels) - 1):
            self.down[i].downsample = LdmDownsample(channels[i])
        self.make_middle(channels[-1], groups)
        self.norm_out = nn.GroupNorm(groups, channels[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(channels[-1], 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for i, level in enumerate(self.down):
            for block in level.block:
                h = block(h)
            if i != len(self.down) - 1:
                h = level.downsample(h)
        return self.conv_out(F.silu(self.norm_out(self.middle(h))))


def out_of_memory_beyond(width: int, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The `forward` of an encoder or decoder on a card without memory for maps wider than this."""

    def limited(x: Tensor, *rest: Any, **named: Any) -> Tensor:
        if x.shape[-1] > width:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return forward(x, *rest, **named)

    return limited
