"""Group normalisation followed by SiLU, with a backward pass that suits CPUs.

PyTorch's own backward of `group_norm` takes most of the training time on a CPU when groups hold two or three
channels of channels_last bf16 pictures. Everything here is a sum per channel or a multiply-add per element:
with x of group mean m and deviation s, y = x * a + b where a = weight / s and b = bias - m * a.
Wu & He 2018, "Group Normalization", equations 1-3.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 32


def _channel_sums(x: Tensor) -> Tensor:
    """Return the sum over all pixels, [B, C] in fp32."""
    return x.sum((2, 3), dtype=torch.float32)


def _group_mean(sums: Tensor, pixels: int) -> Tensor:
    """Return the mean over each channel's group, [B, C], from sums per channel."""
    grouped = sums.unflatten(1, (GROUPS, -1))
    return grouped.mean(2, keepdim=True).expand_as(grouped).flatten(1) / pixels


def _over_pixels(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[:, :, None, None]


class _NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, silu: bool) -> Tensor:
        batch, channels, height, width = x.shape
        shape = (batch, channels, height * width, GROUPS, eps)
        normal, mean, inverse = torch.native_group_norm(x, weight.to(x.dtype), bias.to(x.dtype), *shape)
        ctx.save_for_backward(x, mean, inverse, weight, normal)
        ctx.silu = silu
        return F.silu(normal) if silu else normal

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inverse, weight, normal = ctx.saved_tensors
        pixels, each = x.shape[2] * x.shape[3], x.shape[1] // GROUPS
        mean, inverse = (value.float().repeat_interleave(each, 1) for value in (mean, inverse))
        slope = torch.ops.aten.silu_backward(gradients[0], normal) if ctx.silu else gradients[0]
        total = _channel_sums(slope)
        along = (_channel_sums(slope * x) - mean * total) * inverse
        share = inverse**2 * _group_mean(along * weight, pixels)
        level = inverse * _group_mean(total * weight, pixels) - share * mean
        flat = torch.addcmul(_over_pixels(-level, slope), x, _over_pixels(-share, slope))
        dx = torch.addcmul(flat, slope, _over_pixels(inverse * weight, slope))
        return dx, along.sum(0), total.sum(0), None, None


class Norm(nn.GroupNorm):
    """The 32-group normalisation that the layout prescribes for every width, optionally followed by SiLU."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(GROUPS, channels, eps=eps)

    def forward(self, input: Tensor, silu: bool = False) -> Tensor:
        """Return the normalised features [B, C, H, W], after SiLU if asked."""
        if torch.is_grad_enabled() and input.device.type == "cpu":
            out: Tensor = _NormSilu.apply(input, self.weight, self.bias, self.eps, silu)
            return out
        normal = super().forward(input)
        return F.silu(normal) if silu else normal
