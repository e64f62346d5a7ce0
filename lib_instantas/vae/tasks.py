"""One pass on one map: what is fixed before its first tile (statistics, keys), and the computation of a tile."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from lib_instantas.tiling import Size
from lib_instantas.vae.field import Axes, Box, Field, grid, whole
from lib_instantas.vae.options import Recovery
from lib_instantas.vae.passes import Activation, Attention, Convolution
from lib_instantas.vae.precision import in_precision, wider
from lib_instantas.vae.statistics import Moments, Normalisation, Statistics, sum_in_float

logger = logging.getLogger(__name__)

CPU_QUERIES = 8192


@dataclass
class Surroundings:
    """What every pass of a run shares: the device, the closed axes, how many values a tile may have for now."""

    device: torch.device
    wrap: Axes
    elements: int
    recovery: Recovery


@dataclass
class Stage:
    """The maps between two passes, with the statistics of the main path if the next pass normalises it."""

    main: Field
    skip: Field | None = None
    statistics: Statistics | None = None


@dataclass(frozen=True)
class TileResult:
    """A tile of the main path and, where a branch begins, of the skip path."""

    main: Tensor
    skip: Tensor | None
    moments: Moments | None

    @property
    def finite(self) -> bool:
        """Whether it holds neither NaN nor infinity."""
        main_is = self.moments.finite if self.moments else bool(torch.isfinite(sum_in_float(self.main)))
        return main_is and (self.skip is None or bool(torch.isfinite(sum_in_float(self.skip))))

    def kept(self, store: torch.device, dtype: torch.dtype) -> TileResult:
        """On the store's device, without the halo it may be a view into, and in `dtype` if its values fit."""
        skip = None if self.skip is None else _kept(self.skip, store, dtype)
        return TileResult(_kept(self.main, store, dtype), skip, self.moments)


def _kept(part: Tensor, store: torch.device, dtype: torch.dtype) -> Tensor:
    if wider(part.dtype, dtype) != dtype and bool(part.abs().amax() <= torch.finfo(dtype).max):
        part = part.to(dtype)
    part = part.to(store)
    return part if part.is_contiguous() else part.clone(memory_format=torch.contiguous_format)


class Step(Protocol):
    """What a run asks of a pass."""

    @property
    def name(self) -> str:
        """For messages."""

    def work(self, size: Size) -> int:
        """Multiplications for `size` pixels of output."""


class Task(Protocol):
    """A pass that is ready to be computed tile by tile."""

    @property
    def step(self) -> Step:
        """The pass."""

    def window(self, keep: Box) -> Box:
        """What of the main path the tile reads."""

    def compute(self, keep: Box, dtype: torch.dtype | None = None) -> TileResult:
        """The tile `keep` of the output, in `dtype` if given, else in that of what it reads."""


@dataclass
class ConvolutionTask:
    """A convolution with what belongs to it."""

    step: Convolution
    stage: Stage
    around: Surroundings
    measure: bool
    normalisation: Normalisation | None

    def window(self, keep: Box) -> Box:
        """The tile with its halo."""
        return self.step.window(keep, self.stage.main.size, self.around.wrap)

    def compute(self, keep: Box, dtype: torch.dtype | None = None) -> TileResult:
        """The tile, from its window of the main path and, where a residual block ends, the tile of the skip path."""
        window = self.window(keep)
        held = [self.stage.main.read(window).to(self.around.device, dtype)]
        normalise = self._normalise(in_place=held[0] is not self.stage.main.pieces.get(window))
        with in_precision(self.step.layers, held[0].dtype), _no_autocast_if(dtype is not None, self.around.device):
            # Handed over, not shared: the window is freed as soon as it is normalised.
            main, skip = self.step(held.pop(), window, keep, normalise)
            if self.step.join and self.stage.skip is not None:
                main = main + self.stage.skip.read(keep).to(main.device)
            if self.step.divisor != 1:
                main = main / self.step.divisor
        return TileResult(main, skip, Moments.of(main) if self.measure else None)

    def _normalise(self, in_place: bool) -> Activation | None:
        return None if self.normalisation is None else partial(self.normalisation, in_place=in_place)


@dataclass
class AttentionTask:
    """Attention with the keys and values of the whole map, which are computed tile by tile beforehand."""

    step: Attention
    stage: Stage
    around: Surroundings
    measure: bool
    normalise: Normalisation

    def __post_init__(self) -> None:
        self._keys_and_values_of_all: tuple[Tensor, Tensor] | None = None

    def window(self, keep: Box) -> Box:
        """The tile itself."""
        return keep

    def compute(self, keep: Box, dtype: torch.dtype | None = None) -> TileResult:
        """The tile's queries against all keys."""
        piece = self.stage.main.read(keep)
        keys, values = self._keys_and_values(piece.dtype)
        dtype = dtype or wider(piece.dtype, keys.dtype)
        x = piece.to(self.around.device, dtype)
        with in_precision(self.step.layers, dtype), _no_autocast_if(dtype != piece.dtype, self.around.device):
            block = max(self._smallest_block(), self.around.elements // keys.shape[2])
            main = self.step(x, self.normalise, keys.to(dtype), values.to(dtype), block)
        return TileResult(main, None, Moments.of(main) if self.measure else None)

    def _smallest_block(self) -> int:
        """Queries at a time at least: PyTorch's CPU kernel never holds their scores, and is slow with few of them."""
        return CPU_QUERIES if self.around.device.type == "cpu" else 1

    def _keys_and_values(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        if self._keys_and_values_of_all is None:
            found = self._project_all(dtype)
            if not all(bool(torch.isfinite(sum_in_float(part))) for part in found):
                logger.warning("InstantAS: NaN or Inf in VAE %s, keys and values: redone in float32", self.step.name)
                self.around.recovery.redone += 1
                found = self._project_all(torch.float32)
            self._keys_and_values_of_all = found
        return self._keys_and_values_of_all

    def _project_all(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Keys and values of all pixels, `[batch, heads, pixels, channels / heads]`; their order plays no part."""
        whole_map = whole(self.stage.main.size)
        shape = (self.stage.main.batch, self.step.heads, whole_map.area, self.step.channels // self.step.heads)
        keys, values = (torch.empty(shape, dtype=dtype, device=self.around.device) for _ in range(2))
        start = 0
        with in_precision(self.step.layers, dtype):
            for box in grid(whole_map.size, max(1, self.around.elements // self.step.width)):
                x = self.normalise(self.stage.main.read(box).to(self.around.device, dtype))
                keys.narrow(2, start, box.area).copy_(self.step.tokens(self.step.key, x))
                values.narrow(2, start, box.area).copy_(self.step.tokens(self.step.value, x))
                start += box.area
        return keys, values


def normalisation_of(norm: torch.nn.GroupNorm | None, stage: Stage, around: Surroundings) -> Normalisation | None:
    """A norm with the statistics of the stage before it, if there is one."""
    if norm is None:
        return None
    if stage.statistics is None:
        raise ValueError("a pass that normalises needs the statistics of the map before it")
    return Normalisation.of(norm, stage.statistics, around.device)


def _no_autocast_if(precise: bool, device: torch.device) -> AbstractContextManager[object]:
    """No automatic mixed precision where a dtype was asked for."""
    return torch.autocast(device.type, enabled=False) if precise else nullcontext()
