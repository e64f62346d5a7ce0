"""ControlNets and T2I adapters that hang on a patcher (Forge and its kin), asked about tiles.

The host would ask them once about the whole canvas, before the model. Here each is asked with the tiles of a call, and
sees its hint and its mask as far as these tiles go.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from lib_instantas.replacing import holding
from lib_instantas.tiling import LATENT_SCALE, Size

LAYERS = "control_layers"
"""Under this name the hints and masks go through the cutting of tiles, like the conditioning that they are."""

HINT, MASK = "cond_hint_original", "advanced_mask_weighting"
DERIVED = ("cond_hint", "control_input")
"""What a control makes of its hint when it is first asked, and keeps."""


class PatchedControls:
    """The controls of a patcher, the one that is asked first in front."""

    def __init__(self, controls: Sequence[Any]) -> None:
        self._controls = tuple(controls)
        self._layers: list[dict[str, Tensor]] | None = None
        self._canvas: Size | None = None

    def on_canvas(self, x: Tensor, pictures: Sequence[int]) -> dict[str, Any]:
        """Each control's hint and mask as layers on the canvas of x, one row for each row; made once per pass."""
        if not self._controls:
            return {}
        if self._layers is None:
            self._canvas = int(x.shape[-2]), int(x.shape[-1])
            self._layers = [dict(_layers(control, self._canvas, x)) for control in self._controls]
        by_row = [{name: _rows(layer, pictures) for name, layer in layers.items()} for layers in self._layers]
        return {LAYERS: by_row}

    def taken_from(self, conditioning: dict[str, Any]) -> list[dict[str, Tensor]]:
        """The layers of one call, out of its conditioning."""
        return conditioning.pop(LAYERS, [])

    def answer(
        self, layers: list[dict[str, Tensor]], x: Tensor, sigma: Tensor, conditioning: dict[str, Any], chunks: int
    ) -> dict[str, Any]:
        """What the controls add to the conditioning of a call."""
        if not self._controls:
            return {}
        options = conditioning["transformer_options"]
        whole = tuple(x.shape[-2:]) == self._canvas
        with ExitStack() as held:
            for control, seen in zip(self._controls, layers, strict=True):
                values = {"transformer_options": options} | ({} if whole else {**dict.fromkeys(DERIVED), **seen})
                held.enter_context(holding(control, values))
            return {"control": _asked(self._controls[0], x, sigma, conditioning, chunks)}


def _asked(control: Any, x: Tensor, sigma: Tensor, conditioning: dict[str, Any], chunks: int) -> Any:
    takes_options = "transformer_options" in inspect.signature(control.get_control).parameters
    options = (conditioning["transformer_options"],) if takes_options else ()
    return control.get_control(x, sigma, dict(conditioning), chunks, *options)


def _layers(control: Any, canvas: Size, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The hint at picture size, scaled as the host does, and the mask at latent size."""
    hint, mask = getattr(control, HINT, None), getattr(control, MASK, None)
    if isinstance(hint, Tensor):
        yield HINT, _filling(hint.to(x.device), (canvas[0] * LATENT_SCALE, canvas[1] * LATENT_SCALE))
    if isinstance(mask, Tensor):
        yield MASK, interpolate(mask.to(x.device, x.dtype), size=canvas, mode="bilinear")


def _filling(hint: Tensor, size: Size) -> Tensor:
    """The middle of a hint [B, C, h, w] in the proportions of `size`, scaled to it."""
    height, width = hint.shape[-2:]
    if (height, width) == size:
        return hint
    cut_y = max(0, round((height - width * size[0] / size[1]) / 2))
    cut_x = max(0, round((width - height * size[1] / size[0]) / 2))
    middle = hint[..., cut_y : height - cut_y, cut_x : width - cut_x]
    return interpolate(middle, size=size, mode="nearest-exact")


def _rows(layer: Tensor, pictures: Sequence[int]) -> Tensor:
    """One row for each row of the call: its picture's, where pictures have layers of their own."""
    if layer.shape[0] == 1:
        return layer.expand(len(pictures), *layer.shape[1:])
    return layer[[picture % layer.shape[0] for picture in pictures]]
