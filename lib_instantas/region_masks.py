"""The masks of regional attention for one model call, made where the model computes.

The shares go to the device once per canvas. Which prompts a tile sees is read from the copy in main memory, so that no
call waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from lib_instantas.conditioning import SlotLayout, is_padding
from lib_instantas.denoiser import ModelCall
from lib_instantas.fusion import cut
from lib_instantas.shapes import area_resample_halved
from lib_instantas.tiling import Size, Tile, TilePlan

KEPT_BYTES = 64 * 2**20
"""Masks of a plan that stay on the device for its next use; what goes beyond is made anew for each call."""


class CanvasShares:
    """Each prompt's share of each latent pixel of a canvas, [slots, H, W]; `shares` lies in main memory."""

    def __init__(self, shares: Tensor) -> None:
        self.shares = shares
        self._copies: dict[torch.device, Tensor] = {}
        self._seen: dict[Hashable, frozenset[int]] = {}

    def on(self, device: torch.device) -> Tensor:
        """The same on a device."""
        if device not in self._copies:
            self._copies[device] = self.shares.to(device)
        return self._copies[device]

    def slots_in(self, call: ModelCall) -> tuple[int, ...]:
        """The slots that have a share in any tile of a call."""
        return tuple(sorted(frozenset().union(*(self._slots_of(call.plan, tile) for tile in call.tiles))))

    def _slots_of(self, plan: TilePlan, tile: Tile) -> frozenset[int]:
        key = plan.shift, plan.closed, tile
        if key not in self._seen:
            shares = cut(self.shares, plan, tile).amax((-2, -1))
            self._seen[key] = frozenset(slot for slot, share in enumerate(shares.tolist()) if share > 0)
        return self._seen[key]


class KeptMasks:
    """What was made for a plan's tiles, for the other calls of an evaluation and for later ones with an equal plan."""

    def __init__(self) -> None:
        self._plan: TilePlan | None = None
        self._masks: dict[Hashable, Tensor] = {}
        self._bytes = 0

    def follow(self, plan: TilePlan) -> None:
        """Forget the masks of another plan."""
        if self._plan is not plan and self._plan != plan:
            self._masks, self._bytes = {}, 0
        self._plan = plan

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The mask that is kept under a key, or a new one."""
        if key in self._masks:
            return self._masks[key]
        mask = make()
        size = mask.numel() * mask.element_size()
        if self._bytes + size <= KEPT_BYTES:
            self._masks[key], self._bytes = mask, self._bytes + size
        return mask


class CallMasks:
    """The masks of one model call.

    Slots without a share in any of its tiles are left out of the context: masked or absent is the same softmax.
    """

    def __init__(self, shares: CanvasShares, call: ModelCall, layout: SlotLayout, kept: KeptMasks) -> None:
        self._shares = shares
        self._call = call
        self._layout = layout
        self._kept = kept
        self._slots = shares.slots_in(call)
        self._has_padding = any(layout.padded[slot] for slot in self._slots)
        self._lengths: tuple[int, ...] = ()
        self._seen: tuple[Tensor, Tensor] | None = None
        self._biases: dict[tuple[Size, torch.dtype], Tensor] = {}
        kept.follow(call.plan)

    @property
    def is_one_prompt(self) -> bool:
        """Whether the call is all one prompt's, and no row's tokens need a mask."""
        return len(self._slots) == 1 and not self._has_padding

    def of_active_slots(self, context: Tensor) -> Tensor:
        """The tokens of the slots that have a share in this call."""
        if self._seen is None or self._seen[0] is not context:
            layout = self._layout.fitted_to(context.shape[1])
            self._lengths = tuple(layout.lengths[slot] for slot in self._slots)
            pieces = [context[:, layout.slots[slot]] for slot in self._slots]
            whole = len(pieces) == len(layout.slots)
            self._seen = context, context if whole else pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)
            self._biases.clear()
        return self._seen[1]

    def bias(self, grid: Size, context: Tensor, dtype: torch.dtype) -> Tensor:
        """What is added to the scores, [rows or 1, 1, queries, tokens]: the logarithm of the query's share of a prompt.

        A prompt's tokens divide its share among them, lest a blend leans to the longer prompt.
        """
        if (grid, dtype) not in self._biases:
            make = self._bias_with_padding if self._has_padding else self._bias
            self._biases[grid, dtype] = make(grid, context, dtype)
        return self._biases[grid, dtype]

    def _bias(self, grid: Size, context: Tensor, dtype: torch.dtype) -> Tensor:
        def make() -> Tensor:
            logs = self._log_shares(grid, context.device)
            per_token = [logs[:, i, :, None] - math.log(length) for i, length in enumerate(self._lengths)]
            return self._for_rows(self._for_tokens([one.to(dtype) for one in per_token]))[:, None]

        return self._kept.get((self._call.tiles, self._call.rows, self._lengths, grid, dtype, context.device), make)

    def _bias_with_padding(self, grid: Size, context: Tensor, dtype: torch.dtype) -> Tensor:
        logs = self._log_shares(grid, context.device)
        per_token = self._for_tokens([logs[:, i, :, None] for i in range(len(self._lengths))])
        return (self._for_rows(per_token) + self._token_bias(context)[:, None])[:, None].to(dtype)

    def _log_shares(self, grid: Size, device: torch.device) -> Tensor:
        """The logarithm of each active slot's share of each query, [tiles, slots, queries]."""

        def make() -> Tensor:
            shares = self._shares.on(device)
            tiles = torch.stack([cut(shares, self._call.plan, tile) for tile in self._call.tiles])
            if len(self._slots) < len(shares):
                tiles = torch.stack([tiles[:, slot] for slot in self._slots], dim=1)
            return area_resample_halved(tiles, grid).flatten(2).log()

        return self._kept.get((self._call.tiles, self._slots, grid, device), make)

    def _for_tokens(self, slots: list[Tensor]) -> Tensor:
        """Values [tiles, queries, 1] of each slot, one for each of its tokens, [tiles, queries, tokens]."""
        pieces = [slot.expand(-1, -1, length) for slot, length in zip(slots, self._lengths, strict=True)]
        return torch.cat(pieces, dim=-1)

    def _for_rows(self, tiles: Tensor) -> Tensor:
        """[tiles, queries, tokens] for every row of a tile; those of a single tile are alike."""
        if len(tiles) == 1:
            return tiles
        return tiles[:, None].expand(-1, self._call.rows, -1, -1).flatten(0, 1)

    def _token_bias(self, context: Tensor) -> Tensor:
        """[rows, tokens]: minus the logarithm of how many tokens the slot holds, minus infinity for padding."""
        pieces = []
        for padding in is_padding(context).split(self._lengths, dim=1):
            count = padding.logical_not().sum(1, keepdim=True)
            pieces.append((-count.float().log()).expand(padding.shape).masked_fill(padding, -math.inf))
        return torch.cat(pieces, dim=1)
