"""A second judge that nobody here trained: the ResNet-50 inside the package imgsim (MIT), for development only.

The package calls its network through OpenCV and torchvision; only its weights are read here. It embeds a picture of a
shorter side of 350 pixels in 768 numbers between -1 and 1, trained so that what is cut from one picture lies together.
"""

from __future__ import annotations

from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

INPUT = 350
"""Side that the package shows its network."""

BLOCKS = (3, 4, 6, 3)
"""Bottlenecks of each stage of a ResNet-50."""

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours, which the network expects taken off."""


def is_here() -> bool:
    """Whether the package is installed."""
    return find_spec("imgsim") is not None


@torch.no_grad()
def embed(pictures: Tensor) -> Tensor:
    """The embedding [B, 768] of pictures [B, 3, H, W] in 0..1, each shown at the package's size."""
    return torch.cat([_embed(part) for part in pictures.split(16)])


def _embed(pictures: Tensor) -> Tensor:
    weights = _weights()
    x = F.interpolate(pictures, (INPUT, INPUT), mode="bilinear", antialias=True, align_corners=False)
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]
    x = F.relu(_convolved(weights, x, "conv1", "bn1", stride=2))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, count in enumerate(BLOCKS, 1):
        for block in range(count):
            x = _bottleneck(weights, x, f"layer{stage}.{block}.", stride=2 if stage > 1 and block == 0 else 1)
    return torch.tanh(F.linear(x.mean((-2, -1)), weights["fc.weight"], weights["fc.bias"]))


def _bottleneck(weights: dict[str, Tensor], x: Tensor, name: str, stride: int) -> Tensor:
    """He et al. 2015, figure 5; the middle convolution strides, as in torchvision."""
    convolved = partial(_convolved, weights)
    inner = F.relu(convolved(x, f"{name}conv1", f"{name}bn1"))
    inner = F.relu(convolved(inner, f"{name}conv2", f"{name}bn2", stride=stride))
    inner = convolved(inner, f"{name}conv3", f"{name}bn3")
    if f"{name}downsample.0.weight" in weights:
        x = convolved(x, f"{name}downsample.0", f"{name}downsample.1", stride=stride)
    return F.relu(inner + x)


def _convolved(weights: dict[str, Tensor], x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
    kernel = weights[f"{name}.weight"]
    x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
    return F.batch_norm(x, mean, variance, weights[f"{norm}.weight"], weights[f"{norm}.bias"])


@cache
def _weights() -> dict[str, Tensor]:
    spec = find_spec("imgsim")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError('the second opinion needs pip install -e ".[benchmark]"')
    stored = torch.load(Path(spec.origin).with_name("model.pth"), map_location="cpu", weights_only=True)
    return {name.removeprefix("module.").removeprefix("pre."): value for name, value in stored.items()}
