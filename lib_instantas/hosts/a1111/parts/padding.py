"""The host's Tiling checkbox beside tiles: it lets every convolution pad from the far edge of what it is given.

Inside a tile that edge is the tile's own, in the middle of the picture. While a tile is evaluated the UNet pads as it
was trained; the borders of the picture meet because the tiles reach around them (`wrap`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from lib_instantas.denoiser import ModelCall
from lib_instantas.hosts.a1111.parts import HostPart, SamplingPass
from lib_instantas.replacing import replaced


def padding_as_trained(work: SamplingPass) -> HostPart | None:
    """The part for a generation that the host makes tileable."""
    return PaddingAsTrained(work.unet) if getattr(work.p, "tiling", False) else None


class PaddingAsTrained(HostPart):
    """Zeros around each tile instead of its own far edge."""

    def __init__(self, unet: Any) -> None:
        self._convolutions = [
            module for module in unet.modules() if isinstance(module, nn.Conv2d) and module.padding_mode == "circular"
        ]

    @contextmanager
    def __call__(self, call: ModelCall) -> Iterator[None]:
        """For one call of the model, unless it is about the whole canvas."""
        if call.plan.is_whole_canvas:
            yield
            return
        with ExitStack() as stack:
            for convolution in self._convolutions:
                stack.enter_context(replaced(convolution, "padding_mode", "zeros"))
            yield
