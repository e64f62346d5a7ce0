"""Autoencoders of the real shapes with random weights, brought to the range that pictures have."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL

REAL_CHANNELS = (128, 256, 512, 512)
"""Of the autoencoders of SD 1.x, 2.x and SDXL alike: 83.7 M parameters."""

SHAPES = {
    "sd1": {"sample_size": 512, "scaling_factor": 0.18215},
    "sdxl": {"sample_size": 1024, "scaling_factor": 0.13025},
}


def real_autoencoder(channels: tuple[int, ...] = REAL_CHANNELS, **config: Any) -> Any:
    """An autoencoder of the real layout, as it is initialised."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=min(32, channels[0]),
        **config,
    )


@torch.no_grad()
def random_autoencoder(shape: str, seed: int, channels: tuple[int, ...] = REAL_CHANNELS) -> Any:
    """An autoencoder whose decoder makes pictures with the spread of real ones, and whose encoder unit latents.

    Freshly initialised networks answer with almost constant maps, on which every difference would look small.
    """
    torch.manual_seed(seed)
    model = real_autoencoder(channels, **SHAPES[shape])
    model.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.weight.normal_(1, 0.2)
            module.bias.normal_(0, 0.2)
    latents = torch.randn(1, 4, 32, 32)
    _spread(model.decoder.conv_out, model.decode(latents).sample, 0.5)
    pictures = torch.nn.functional.interpolate(torch.rand(1, 3, 16, 16) * 2 - 1, scale_factor=16, mode="bicubic")
    _spread(model.encoder.conv_out, model.encode(pictures).latent_dist.mean, 1.0)
    return model


def _spread(last: Any, output: torch.Tensor, wanted: float) -> None:
    last.weight.mul_(wanted / output.std())
    last.bias.zero_()
