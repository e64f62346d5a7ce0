"""Laying the token sequences of several prompts one behind another, each in a slot of its own.

Positive and negative rows get the same slots of equal lengths, so that any row of any batch carries its own prompts
and nothing has to know which rows are which. A prompt that fits into its slot a whole number of times is repeated,
which changes no softmax. What another prompt leaves free is filled with a padding vector that attention recognises and
masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

PADDING = 2.0**-14
"""Every channel of a padding token: exact in fp32, fp16 and bf16, and next to nothing for whoever does not mask it."""

_CHANNELS_THAT_TELL = 8


@dataclass(frozen=True)
class SlotLayout:
    """Tokens per slot along the token axis, slot 0 being the main prompt, and which slots hold padding in some row."""

    lengths: tuple[int, ...]
    padded: tuple[bool, ...]

    @property
    def tokens(self) -> int:
        """Length of the whole token axis."""
        return sum(self.lengths)

    @property
    def slots(self) -> tuple[slice, ...]:
        """Where each slot lies on the token axis."""
        ends = list(accumulate(self.lengths, initial=0))
        return tuple(slice(start, stop) for start, stop in pairwise(ends))

    def fitted_to(self, tokens: int) -> SlotLayout:
        """The layout after something took tokens from the front, as ControlNet does with the mark it puts there.

        Raises ValueError if the conditioning cannot be what was laid out.
        """
        taken = self.tokens - tokens
        if not 0 <= taken < self.lengths[0]:
            raise ValueError(f"InstantAS: regions: the model got {tokens} tokens where {self.tokens} were laid out")
        return SlotLayout((self.lengths[0] - taken, *self.lengths[1:]), self.padded)


def lay_out(*groups: Sequence[Tensor]) -> tuple[list[Tensor], SlotLayout]:
    """Each group of rows as one conditioning [rows, tokens, channels], and the layout all of them share.

    A group (the positive rows, the negative rows) is a sequence with one tensor [rows or 1, tokens, channels] per slot,
    the main prompt's first; token counts may differ from slot to slot and from group to group.
    """
    per_slot = list(zip(*groups, strict=True))
    lengths = tuple(max(tokens.shape[1] for tokens in slot) for slot in per_slot)
    padded = tuple(any(n % tokens.shape[1] for tokens in slot) for n, slot in zip(lengths, per_slot, strict=True))
    return [_one_behind_another(group, lengths) for group in groups], SlotLayout(lengths, padded)


def _one_behind_another(group: Sequence[Tensor], lengths: Sequence[int]) -> Tensor:
    rows, like = group[0].shape[0], group[0]
    parts = []
    for tokens, length in zip(group, lengths, strict=True):
        tokens = tokens.to(like).expand(rows, -1, -1)
        times, free = divmod(length, tokens.shape[1])
        padding = like.new_full((rows, length - tokens.shape[1], like.shape[2]), PADDING)
        parts += [tokens, padding] if free else [tokens] * times
    return torch.cat(parts, dim=1)


def is_padding(conditioning: Tensor) -> Tensor:
    """Which tokens of [rows, tokens, channels] only fill up their slot, [rows, tokens]."""
    return (conditioning[..., :_CHANNELS_THAT_TELL] == PADDING).all(-1)
