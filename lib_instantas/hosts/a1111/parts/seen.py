"""Where the first of two passes has put the thing of each picture of a batch."""

from __future__ import annotations

from torch import Tensor

from lib_instantas.background import found_in_words, thing_share
from lib_instantas.word_maps import WordMaps


class SeenThings:
    """What is seen in the first pass of a batch is kept for the second; `begin` forgets it, for the next batch."""

    def __init__(self) -> None:
        self._maps: list[WordMaps] = []
        self._things: list[Tensor | None] = []

    def begin(self) -> None:
        """A batch begins."""
        self._maps, self._things = [], []

    def maps(self, pictures: int) -> list[WordMaps]:
        """What to add to, one for each picture; a refiner goes on with those of the model before it."""
        self._maps = self._maps or [WordMaps() for _ in range(pictures)]
        return self._maps

    def things(self, pictures: int) -> list[Tensor | None]:
        """The thing's share of each picture (`background.thing_share`). Read from the device once."""
        self._things = self._things or [thing_share(maps.read()) for maps in self.maps(pictures)]
        return self._things

    def said(self, picture: int) -> str:
        """In words where the background stands in a picture of the batch; empty while that is not known."""
        return found_in_words(self._things[picture]) if picture < len(self._things) else ""
