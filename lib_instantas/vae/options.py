"""What a caller of the tiled autoencoder can choose, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SMALLEST_TILE, LARGEST_TILE = 64, 4096
MODES = ("exact", "fast")
STORES = ("auto", "device", "main")


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The caller's `interrupted` said so between two tiles."""


@dataclass(frozen=True)
class Options:
    """How an autoencoder is tiled.

    `tile` is the side, in image pixels, of a tile at the picture's resolution; coarser stages take tiles of the same
    memory. `wrap` closes the (vertical, horizontal) axis to a ring. `store` is where the stages between two passes
    are kept: on the device, in main memory, or wherever they fit. `progress` is told (work done, total work), and the
    last call has both equal; `interrupted` is asked between tiles.
    """

    tile: int = 512
    mode: str = "exact"
    wrap: tuple[bool, bool] = (False, False)
    store: str = "auto"
    progress: Callable[[int, int], None] = lambda done, total: None
    interrupted: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        if not SMALLEST_TILE <= self.tile <= LARGEST_TILE:
            raise ValueError(f"InstantAS: vae_tile must be between {SMALLEST_TILE} and {LARGEST_TILE}, got {self.tile}")
        if self.mode not in MODES:
            raise ValueError(f"InstantAS: vae_mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.store not in STORES:
            raise ValueError(f"InstantAS: vae_store must be one of {', '.join(STORES)}, got {self.store!r}")


@dataclass
class Recovery:
    """What went wrong and was put right: tiles redone in float32, and tiles halved when memory ran out."""

    redone: int = 0
    halved: int = 0
    unresolved: int = 0

    def __str__(self) -> str:
        parts = [
            (self.redone, "redone in float32 after NaN or Inf"),
            (self.halved, "halved when out of memory"),
            (self.unresolved, "NaN or Inf even in float32"),
        ]
        return ", ".join(f"{count} {'tile' if count == 1 else 'tiles'} {what}" for count, what in parts if count)
