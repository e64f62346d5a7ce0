"""Regions as MultiDiffusion makes them: the UNet asked once per prompt, its predictions put together by the masks.

Only a yardstick for `benchmarks.regions` (InstantAS, supplement, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import ModelCall
from lib_instantas.fusion import cut
from lib_instantas.regions import RegionSetup


class OnePassPerRegion:
    """A UNet's forward that blends one prediction per prompt; prompts without a share in any tile are left out.

    `contexts` holds for each slot, the main prompt's first, the token embeddings of the negative and positive row,
    [2, tokens, channels].
    """

    def __init__(self, unet: Any, setup: RegionSetup, contexts: Sequence[Tensor]) -> None:
        self._forward = unet.forward
        self._unet = unet
        self._setup = setup
        self._contexts = contexts
        self._tiles = torch.empty(0)

    @contextmanager
    def __call__(self, call: ModelCall) -> Iterator[None]:
        """Keep the masks of the tiles that the call is about."""
        shares = self._setup.shares(call.plan.canvas)
        self._tiles = torch.stack([cut(shares, call.plan, tile) for tile in call.tiles])
        yield

    def forward(self, x: Tensor, timestep: Any, encoder_hidden_states: Tensor, **others: Any) -> tuple[Tensor]:
        """The blend, in the form the engine asks for."""
        tiles = len(self._tiles)
        blend = torch.zeros_like(x)
        for slot, context in enumerate(self._contexts):
            mask = self._tiles[:, slot].repeat_interleave(len(x) // tiles, 0)[:, None].to(x)
            if mask.any():
                others["encoder_hidden_states"] = context.repeat(tiles, 1, 1)
                blend += mask * self._forward(x, timestep, **others)[0]
        return (blend,)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While open, the UNet answers so."""
        self._unet.forward = self.forward
        try:
            yield
        finally:
            del self._unet.forward
