"""ControlNet's IP-Adapter and PuLID, which add attention to a picture to the layers of the UNet.

The reference picture stays whole. What is kept from call to call must have the rows of the call, and the part of the
canvas on which the adapter acts is cut with the tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lib_instantas.denoiser import ModelCall
from lib_instantas.fusion import cut
from lib_instantas.replacing import replaced

MASKING = "apply_effective_region_mask"
"""The neighbour's method that keeps the adapter to its region: [rows, pixels, channels] in, the same out."""


def is_image_adapter(model: Any) -> bool:
    """Whether a unit's control model is one of these, which the neighbour calls PlugableIPAdapter."""
    return hasattr(type(model), MASKING) and "cache" in vars(model)


class ImageAdapterInTiles:
    """One adapter for the length of a pass."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter
        self._caches: dict[int, dict[str, Tensor]] = {}
        self._mask: Tensor | None = None

    @contextmanager
    def __call__(self, call: ModelCall) -> Iterator[None]:
        """Keys and values of the picture for as many rows as the call has, and the region of its tiles."""
        with ExitStack() as stack:
            cache = self._caches.setdefault(call.rows * len(call.tiles), {})
            stack.enter_context(replaced(self._adapter, "cache", cache))
            if vars(self._adapter).get("effective_region_mask") is not None:
                stack.enter_context(replaced(self._adapter, MASKING, self._masking(call)))
            yield

    def _masking(self, call: ModelCall) -> Callable[[Tensor], Tensor]:
        masks: dict[int, Tensor] = {}

        def masked(added: Tensor) -> Tensor:
            pixels = added.shape[1]
            if pixels not in masks:
                masks[pixels] = self._mask_of(call, pixels, added)
            return added * masks[pixels]

        return masked

    def _mask_of(self, call: ModelCall, pixels: int, like: Tensor) -> Tensor:
        """[rows, pixels, 1], at the resolution of a layer."""
        tiles = torch.cat([cut(self._on_canvas(call, like), call.plan, tile) for tile in call.tiles])
        height, width = tiles.shape[-2:]
        scale = (pixels / (height * width)) ** 0.5
        small = interpolate(tiles, size=(round(height * scale), round(width * scale)), mode="bilinear")
        return small.flatten(1).unsqueeze(-1).repeat_interleave(call.rows, dim=0).to(like.dtype)

    def _on_canvas(self, call: ModelCall, like: Tensor) -> Tensor:
        """The region [1, 1, H, W] in latent pixels, brought to the device once."""
        if self._mask is None:
            given = self._adapter.effective_region_mask.to(like.device, torch.float32)
            self._mask = interpolate(given, size=call.plan.canvas, mode="bilinear")
        return self._mask
