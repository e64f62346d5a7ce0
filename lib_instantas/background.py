"""A background prompt: it stands everywhere but where the whole prompt's thing is, and there the whole prompt does.

A tile whose part of the picture does not hold the thing is not asked for it, so it adds no second one. Nobody has to
name the thing: its words are those of the whole prompt that the background has not, and its place is where the model
looked at them while it composed the picture (`lib_instantas.word_maps`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lib_instantas.regions import NEGLIGIBLE, RegionSetup
from lib_instantas.tiling import Size

NO_THINGS = (
    *("a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "is", "it", "its", "near", "next", "of", "on"),
    *("one", "or", "over", "single", "some", "that", "the", "there", "to", "under", "up", "with"),
    *(",", ".", ";", ":", "!", "?", "-", "(", ")", '"', "'"),
)
"""Words and signs that are no thing of their own: where the model looks at them is no thing's place."""

SEEN = 0.6
"""A word is looked at where its map is above this share of its highest value."""

SURE = 0.8
"""From this share on all of a place is the thing's; between the two it is divided."""

LARGEST = 0.35
"""A word that is looked at on a larger share of the picture is about all of it, and tells no place."""


def thing_positions(
    prompt: Sequence[Hashable], background: Iterable[Hashable], no_things: Iterable[Hashable]
) -> tuple[int, ...]:
    """Which tokens of a prompt are the thing's: those that neither the background has nor are among `no_things`."""
    others = {*background, *no_things}
    return tuple(position for position, token in enumerate(prompt) if token not in others)


def thing_share(maps: Tensor | None) -> Tensor | None:
    """How much of each place is the thing's, [h, w] in 0..1, of its words' maps [words, h, w], whatever their scale.

    Of words that tell a place each counts by itself, so that two things have both of theirs. What is seen reaches one
    pixel further on every side. None where no word tells a place, or there are no maps.
    """
    if maps is None:
        return None
    highest = maps.amax((1, 2), keepdim=True)
    relative = maps / highest.clamp(min=torch.finfo(maps.dtype).tiny)
    tells = ((relative > SEEN).float().mean((1, 2)) <= LARGEST) & (highest[:, 0, 0] > 0)
    if not bool(tells.any()):
        return None
    share = ((relative[tells].amax(0) - SEEN) / (SURE - SEEN)).clamp(0, 1)
    return F.max_pool2d(share[None], 3, 1, 1)[0]


def found_in_words(thing: Tensor | None) -> str:
    """What the infotext says behind "background": where the background prompt stands."""
    if thing is None:
        return "prompt nowhere, since the prompt's other words were not seen in one place"
    return f"prompt on all but {float(thing.mean()):.1%} of the canvas"


@dataclass(frozen=True)
class Background:
    """A prompt for all of a picture but where its thing is: `thing` [h, w] is the thing's share, at any resolution."""

    prompt: str
    thing: Tensor


@dataclass(frozen=True)
class BackgroundSetup:
    """Regions of a picture, and a background prompt in the last slot, behind theirs.

    What no region covers is the main prompt's as far as it is the thing's, and the rest of that the background's.
    """

    setup: RegionSetup
    thing: Tensor

    def shares(self, size: Size, closed: tuple[bool, bool] = (False, False)) -> Tensor:
        """How much of each pixel belongs to each prompt, [main, active regions, background]; sums to 1."""
        shares = self.setup.shares(size, closed)
        thing = F.interpolate(self.thing[None, None].to(shares), size, mode="bilinear")[0, 0]
        thing = thing.masked_fill(thing < NEGLIGIBLE, 0).masked_fill(thing > 1 - NEGLIGIBLE, 1)
        return torch.cat([shares[:1] * thing, shares[1:], shares[:1] * (1 - thing)])

    def hard(self) -> BackgroundSetup:
        """The same with hard regions; the background goes on fading into the thing."""
        return replace(self, setup=self.setup.hard())
