"""Pictures as tensors [..., 3, H, W] in 0..1: painted, drawn, in crops, as the judge sees them, and on a sheet."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lib_instantas.tiling import Size
from small_world import NATIVE
from small_world.judge import Judge
from small_world.renderer import render
from small_world.scene import Scene


def as_tensor(picture: Image.Image) -> Tensor:
    """A picture [3, H, W]."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255


def drawn(scenes: Iterable[Scene], size: Size) -> Tensor:
    """The scenes as the renderer draws them, [scenes, 3, H, W]; `size` is (height, width) in image pixels."""
    pixels = np.stack([render(scene, size).pixels for scene in scenes])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def native_crops(pictures: Tensor, stride: int = NATIVE // 2) -> Tensor:
    """Crops [n, 3, 256, 256] of pictures [B, 3, H, W], side by side at every `stride` pixels, picture by picture."""
    tiles = pictures.unfold(2, NATIVE, stride).unfold(3, NATIVE, stride)
    return tiles.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def features_of(judge: Judge, pictures: Tensor) -> Tensor:
    """The judge's features of pictures [B, 3, H, W], [B, F]."""
    return torch.cat([judge.verdict(part).features for part in pictures.split(32)])


def together(rows: Iterable[Tensor]) -> Image.Image:
    """Rows [pictures, 3, H, W] below each other, the pictures of each side by side."""
    lines = [torch.cat(list(pictures), 2) for pictures in rows]
    return Image.fromarray(torch.cat(lines, 1).permute(1, 2, 0).mul(255).byte().numpy())
