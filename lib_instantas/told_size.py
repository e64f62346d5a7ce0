"""What SDXL is told about the size of a tile.

SDXL learnt pictures together with six numbers: the height and width of the original, the top and left of the crop that
it was shown, and the height and width of the target (Podell et al. 2023, sections 2.2 and 2.3). A host gives the whole
canvas's to every tile. Here each tile gets its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import ModelCall
from lib_instantas.tiling import LATENT_SCALE, Tile

EACH = 256
"""Width of the embedding of one number."""
LONGEST_PERIOD = 10_000.0
REFINER = 1280 + 5 * EACH
"""Width of the refiner's vector: behind the pooled prompt the first four numbers, and a score of beauty."""

Numbers = tuple[int | None, ...]
"""Height and width of the original, top and left of the crop, height and width of the target.

None is left as the host says it.
"""


def as_a_picture(call: ModelCall, tile: Tile) -> Numbers:
    """A tile is a picture of its own: original and target are its size, the crop is the host's (0, 0)."""
    height, width = (side * LATENT_SCALE for side in tile.size)
    return height, width, None, None, height, width


def as_a_crop(call: ModelCall, tile: Tile) -> Numbers:
    """A tile is a crop of the canvas, which is the original. Where it goes around a border, its crop begins at 0."""
    canvas = [side * LATENT_SCALE for side in call.plan.canvas]
    corner = [LATENT_SCALE * max(0, axis.window.start) for axis in (tile.y, tile.x)]
    return (*canvas, *corner, *(side * LATENT_SCALE for side in tile.size))


TOLD: dict[str, Callable[[ModelCall, Tile], Numbers]] = {"tile": as_a_picture, "crop": as_a_crop}
CHOICES = (*TOLD, "canvas")


@dataclass(frozen=True)
class ToldSize:
    """Replaces the sizes in the conditioning of each call of an SDXL model; `choice` is one of CHOICES.

    It knows them at the end of a vector [rows, 2816] or [rows, 2560], as SDXL's base and refiner take it (`vector` or
    `y` at any depth of the conditioning), and in `time_ids` [rows, 6], as diffusers has them. Anything else stays as it
    is. Other models may have vectors of these names and widths: take "canvas" for them.
    """

    choice: str

    def __call__(self, call: ModelCall, conditioning: dict[str, Any]) -> dict[str, Any]:
        """The conditioning [tiles * rows, ...] of one call, tile by tile, with the sizes of its tiles."""
        if self.choice not in TOLD or call.plan.is_whole_canvas:
            return conditioning
        numbers = [TOLD[self.choice](call, tile) for tile in call.tiles]
        return {name: _told(name, value, numbers) for name, value in conditioning.items()}


def _told(name: str, value: Any, numbers: list[Numbers]) -> Any:
    if isinstance(value, dict):
        return {key: _told(key, item, numbers) for key, item in value.items()}
    if not isinstance(value, Tensor) or value.ndim != 2:
        return value
    if name in ("vector", "y") and value.shape[1] == REFINER:
        return _with_numbers(value, [four[:4] for four in numbers], value.shape[1] - 5 * EACH, EACH)
    if name in ("vector", "y") and value.shape[1] > 6 * EACH:
        return _with_numbers(value, numbers, value.shape[1] - 6 * EACH, EACH)
    if name == "time_ids":
        return _with_numbers(value, [all_of_them[: value.shape[1] // 2 * 2] for all_of_them in numbers], 0, 1)
    return value


def _with_numbers(value: Tensor, numbers: list[Numbers], start: int, width: int) -> Tensor:
    """A copy of value [tiles * rows, ...] with each tile's numbers from the column `start` on, `width` for each."""
    told = value.clone().unflatten(0, (len(numbers), -1))
    for tile, of_tile in enumerate(numbers):
        for index, number in enumerate(of_tile):
            if number is not None:
                place = slice(start + index * width, start + (index + 1) * width)
                told[tile, :, place] = _embedded(number, width, value) if width > 1 else number
    return told.flatten(0, 1)


def _embedded(number: int, width: int, like: Tensor) -> Tensor:
    """Cosines, then sines, of the number at periods up to 10,000, as times are embedded (Vaswani et al. 2017).

    Made on the device: the number goes there as an argument, not as a copy.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=like.device)
    angles = torch.exp(-math.log(LONGEST_PERIOD) * steps / half) * number
    return torch.cat([angles.cos(), angles.sin()]).to(like.dtype)
