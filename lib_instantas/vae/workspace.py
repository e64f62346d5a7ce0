"""What one encoding or decoding shares: what its caller chooses and is told, and the memory that there is for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from lib_instantas.device import empty_cache, free_bytes, shares_main_memory
from lib_instantas.processes import ALONE, Processes
from lib_instantas.vae.maps import Axes

SMALLEST_TILE, LARGEST_TILE = 64, 4096
MODES = ("exact", "fast")
STORES = ("auto", "device", "main")

SHARE_OF_FREE_MEMORY = 0.6
"""The maps are kept on the device when they take at most this share of what is free there."""

SPARE_SHARE = 0.5
"""Of the free memory that a tile may take beyond its elements, as long as memory has not run out."""


@dataclass(frozen=True)
class Options:
    """How an autoencoder is tiled.

    `tile` is the side, in image pixels, of a tile at the picture's resolution; coarser maps take tiles of the same
    memory. `wrap` closes the (vertical, horizontal) axis to a ring. `store` is where the maps between two layers
    are kept: on the device, in main memory, or wherever they fit. `progress` is told (work done, total work), and the
    last call has both equal; `interrupted` is asked between tiles. `processes` are those that the tiles of each
    layer are divided among, all given the same map.
    """

    tile: int = 512
    mode: str = "exact"
    wrap: Axes = (False, False)
    store: str = "auto"
    progress: Callable[[int, int], None] = lambda done, total: None
    interrupted: Callable[[], bool] = lambda: False
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        if not SMALLEST_TILE <= self.tile <= LARGEST_TILE:
            raise ValueError(f"InstantAS: vae_tile must be between {SMALLEST_TILE} and {LARGEST_TILE}, got {self.tile}")
        if self.mode not in MODES:
            raise ValueError(f"InstantAS: vae_mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.store not in STORES:
            raise ValueError(f"InstantAS: vae_store must be one of {', '.join(STORES)}, got {self.store!r}")


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The caller's `interrupted` said so between two tiles."""


@dataclass
class Recovery:
    """What went wrong and was put right.

    Tiles redone in float32, tiles halved when memory ran out, and pictures begun anew in tiles for the same reason.
    `short` are the bytes that the exact mode would have needed and those that were free, where it was not taken so.
    """

    redone: int = 0
    halved: int = 0
    unresolved: int = 0
    tiled: int = 0
    short: tuple[int, int] | None = None

    def __str__(self) -> str:
        parts = [
            (self.tiled, "picture", "done again in tiles when out of memory"),
            (self.redone, "tile", "redone in float32 after NaN or Inf"),
            (self.halved, "tile", "halved when out of memory"),
            (self.unresolved, "tile", "NaN or Inf even in float32"),
        ]
        words = [f"{count} {noun}{'' if count == 1 else 's'} {what}" for count, noun, what in parts if count]
        if self.short is not None:
            needed, free = (count / 2**30 for count in self.short)
            words.insert(0, f"not exact, which needs {needed:.1f} GB of main memory where {free:.1f} are free")
        return ", ".join(words)


@dataclass
class Workspace:
    """What all layers of one call share.

    They compute on `device`. Their maps are kept on `store` in `dtype`, where that holds the values. A tile may have so
    many `elements` for now; `tight`: memory ran out once. `done` and `total` are multiplications.
    """

    options: Options
    recovery: Recovery
    device: torch.device
    store: torch.device
    dtype: torch.dtype
    elements: int
    total: int
    done: int = 0
    tight: bool = False

    def advance(self, multiplications: int) -> None:
        """Tell the caller that one more tile is done."""
        self.done += multiplications
        self.options.progress(self.done, self.total)

    def make_room(self) -> None:
        """Go on with half as much at once, and keep the maps in main memory."""
        self.recovery.halved += 1
        self.tight = True
        self.elements = max(self.elements // 2, 1)
        if not shares_main_memory(self.device):
            self.store = torch.device("cpu")
        empty_cache(self.device)

    def spare_bytes(self) -> int:
        """What may be taken beyond the tile's elements; nothing where memory is tight, or nobody knows."""
        return 0 if self.tight else int(SPARE_SHARE * (free_bytes(self.device) or 0))


def store_for(needed: int, chosen: str, device: torch.device) -> torch.device:
    """Where the maps between the layers are kept: on the device if it has the bytes that they need."""
    if chosen == "main":
        return torch.device("cpu")
    free = None if chosen == "device" or shares_main_memory(device) else free_bytes(device)
    return device if free is None or needed <= SHARE_OF_FREE_MEMORY * free else torch.device("cpu")
