"""Building blocks shared by the networks, under the names that Stable Diffusion 1.x files give their weights."""

import torch
from torch import Tensor, nn


def anchor(conv: nn.Conv2d, level: float = 1.5) -> nn.Conv2d:
    """Give every third channel in front of a normalisation a high and every third a low bias.

    Normalising groups of two or three channels removes their mean, and with it flat colour, unless constant channels
    of a known difference stand in the same group: then the others keep their level relative to those.
    """
    assert conv.bias is not None
    with torch.no_grad():
        conv.bias[1::3] += level
        conv.bias[2::3] -= level
    return conv


def quiet(conv: nn.Conv2d) -> nn.Conv2d:
    """Let a convolution begin with nothing, so that the block that it ends begins as its skip connection."""
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def conv3(channels: int, out: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution."""
    return nn.Conv2d(channels, out, 3, stride, padding)


class ConvIn(nn.Module):
    """Holds one convolution under the name `conv`, as the layout does for resampling."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolution."""
        return self.conv(x)
