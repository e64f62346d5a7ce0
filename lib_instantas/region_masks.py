"""The shares of regional attention for one model call, made where the model computes.

The shares go to the device once per canvas. Which prompts a tile sees is read from the copy in main memory, so that no
call waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lib_instantas.conditioning import SlotLayout, is_padding
from lib_instantas.denoiser import ModelCall
from lib_instantas.fusion import cut
from lib_instantas.shapes import area_resample_halved
from lib_instantas.tiling import Size, Tile, TilePlan, round_up

OTHER_REGION = 1000.0
"""What the scores of another region's keys are lowered by: after the softmax nothing is left of them."""

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


@dataclass(frozen=True)
class Slots:
    """How attention over the tokens of several prompts is put together, for every query of one layer.

    `lengths` are the tokens of each prompt, one behind another, `shares` [rows or 1, prompts, queries] how much of a
    query belongs to each, `padding` which tokens only fill up their prompt, [rows, tokens], or None where none do.
    """

    lengths: tuple[int, ...]
    shares: Tensor
    padding: Tensor | None = None

    def blended(self, attention: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Each prompt's own answer to queries [B, heads, N, C], weighted by its share (InstantAS, eq. 10)."""
        out, start = torch.zeros_like(q), 0
        for slot, length in enumerate(self.lengths):
            own = slice(start, start + length)
            mask = None if self.padding is None else ~self.padding[:, None, None, own]
            answer = attention(q, k[:, :, own], v[:, :, own], mask)
            out = torch.addcmul(out, answer, self.shares[:, slot, None, :, None].to(answer))
            start += length
        return out


Attention = Callable[[Tensor, Tensor, Tensor, "Tensor | None"], Tensor]
"""Attention of queries [B, heads, N, C] to keys and values, with a mask of the tokens that count."""


class CallMasks:
    """The shares of one model call.

    Slots without a share in any of its tiles are left out of the context: masked or absent is the same softmax. Where
    it is `hard`, every query belongs to one prompt alone.
    """

    def __init__(
        self, shares: CanvasShares, call: ModelCall, layout: SlotLayout, kept: KeptMasks, hard: bool = False
    ) -> None:
        self._shares = shares
        self._call = call
        self._layout = layout
        self._kept = kept
        self._hard = hard
        self._slots = shares.slots_in(call)
        self._has_padding = any(layout.padded[slot] for slot in self._slots)
        self._lengths: tuple[int, ...] = ()
        self._seen: tuple[Tensor, Tensor] | None = None
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
        return self._seen[1]

    def slots(self, grid: Size, context: Tensor) -> Slots:
        """How a layer with a grid of queries puts the prompts of its context together."""
        padding = is_padding(context) if self._has_padding else None
        return Slots(self._lengths, self.shares(grid, context.device), padding)

    def shares(self, grid: Size, device: torch.device) -> Tensor:
        """Each active slot's share of each query, [rows or 1, slots, queries]; rows of a single tile are alike."""

        def make() -> Tensor:
            shares = self._shares.on(device)
            tiles = torch.stack([cut(shares, self._call.plan, tile) for tile in self._call.tiles])
            if len(self._slots) < len(shares):
                tiles = torch.stack([tiles[:, slot] for slot in self._slots], dim=1)
            shares = area_resample_halved(tiles, grid).flatten(2)
            shares = _one_hot(shares) if self._hard else shares
            return shares if len(shares) == 1 else shares.repeat_interleave(self._call.rows, dim=0)

        return self._kept.get((self._call.tiles, self._call.rows, self._slots, grid, device, self._hard), make)


def _one_hot(shares: Tensor) -> Tensor:
    """Shares [tiles, slots, queries] as 1 for the largest, the later of equals, and 0 for the others."""
    largest = shares == shares.amax(1, keepdim=True)
    return (largest & (largest.flip(1).cumsum(1).flip(1) == 1)).to(shares)


def attend_within_region(q: Tensor, k: Tensor, v: Tensor, shares: Tensor) -> Tensor:
    """Self-attention [B, heads, N, C] in which each query sees the keys of its own region only.

    `shares` [B or 1, slots, N] is 1 for a query's region and 0 for the others. The scores of other regions are lowered
    by OTHER_REGION through channels that are added to queries and keys: no mask of queries by keys is ever made.
    """
    channels, slots = q.shape[-1], shares.shape[1]
    more = round_up(slots, 8)
    labels = F.pad(shares.transpose(1, 2)[:, None].to(q), (0, more - slots))
    others = F.pad(1 - labels[..., :slots], (0, more - slots))
    labels, others = (one.expand(*q.shape[:-1], -1) for one in (labels, others))
    scale = math.sqrt((channels + more) / channels)
    q = torch.cat([q * scale, -OTHER_REGION * math.sqrt(channels + more) * others], dim=-1)
    k = torch.cat([k, labels], dim=-1)
    return F.scaled_dot_product_attention(q, k, F.pad(v, (0, more)))[..., :channels]
