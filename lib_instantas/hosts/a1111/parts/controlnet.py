"""ControlNet's hints, cut with the tiles.

The neighbour sd-webui-controlnet keeps one object per unit (`control_params` of its UNet hook). For the length of one
model call each of them holds the hint of the tiles in that call, and gets everything back afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lib_instantas.denoiser import ModelCall
from lib_instantas.fusion import canvas_scale, cut
from lib_instantas.hosts.a1111.parts import HostPart, SamplingPass
from lib_instantas.hosts.a1111.parts.image_adapters import ImageAdapterInTiles, is_image_adapter
from lib_instantas.replacing import holding

WHOLE = frozenset({"AttentionInjection", "ReVision", "IPAdapter", "T2I_StyleAdapter"})
"""Kinds of control that look at the reference as a picture of its own, not as a layer on the canvas."""

WORKED_OUT = ("used_hint_cond", "used_hint_cond_latent", "used_hint_inpaint_hijack")
"""What a unit derives from its hint at the next call of the model, when it is None."""


def controlnet_hints(work: SamplingPass) -> HostPart | None:
    """The part for a run in which ControlNet is at work."""
    return ControlNetHints(work) if any(True for _ in units_of(work.p)) else None


class ControlNetHints(HostPart):
    """Gives each unit the hint of the tiles that the model is asked about."""

    def __init__(self, work: SamplingPass) -> None:
        self._work = work
        self._adapters: dict[int, ImageAdapterInTiles] = {}

    @contextmanager
    def __call__(self, call: ModelCall) -> Iterator[None]:
        """Swap hints, masks and what is derived from them for one call of the model."""
        if call.plan.is_whole_canvas:
            yield
            return
        with ExitStack() as stack:
            for unit in units_of(self._work.p):
                stack.enter_context(holding(unit, self._values(unit, call)))
                for adapter in _caching_adapters(unit):
                    stack.enter_context(holding(adapter, {"control": None, "hint_cond": None}))
                if is_image_adapter(unit.control_model):
                    stack.enter_context(self._in_tiles(unit.control_model)(call))
            yield

    def _in_tiles(self, adapter: Any) -> ImageAdapterInTiles:
        return self._adapters.setdefault(id(adapter), ImageAdapterInTiles(adapter))

    def _values(self, unit: Any, call: ModelCall) -> dict[str, Any]:
        if unit.control_model_type.name in WHOLE:
            return _latents_that_fit(unit, call)
        values: dict[str, Any] = dict.fromkeys(WORKED_OUT)
        mask = getattr(unit, "effective_region_mask", None)
        if isinstance(mask, Tensor):
            values["effective_region_mask"] = _for_tiles(_on_canvas(mask, call), call)
        return values | self._hints(unit, call)

    def _hints(self, unit: Any, call: ModelCall) -> dict[str, Any]:
        """The unit chooses between the hints of the two passes by the height of what the model is asked about.

        In the first pass it must not find a second one, in the hires pass the second must have the tile's height.
        """
        name = "hr_hint_cond" if self._work.is_hires_pass and _is_hint(unit.hr_hint_cond, call) else "_hint_cond"
        hint = getattr(unit, name)
        if not _is_hint(hint, call):
            return {}
        first_pass = {"hr_hint_cond": None} if name == "_hint_cond" else {}
        return {name: _for_tiles(hint, call), **first_pass}


def units_of(p: Any) -> Iterator[Any]:
    """The units of ControlNet that take part in a generation."""
    for script in getattr(getattr(p, "scripts", None), "alwayson_scripts", ()):
        network = getattr(script, "latest_network", None)
        yield from getattr(network, "control_params", None) or ()


def _caching_adapters(unit: Any) -> Iterator[Any]:
    """A T2I adapter keeps what it made of its first hint, and gives that to every later call."""
    if "control" in vars(unit.control_model or object) and "hint_cond" in vars(unit.control_model):
        yield unit.control_model


def _is_hint(hint: Any, call: ModelCall) -> bool:
    return isinstance(hint, Tensor) and hint.ndim == 4 and canvas_scale(hint, call.plan.canvas) is not None


def _on_canvas(mask: Tensor, call: ModelCall) -> Tensor:
    """A mask of any size, as the canvas sees it."""
    return mask if _is_hint(mask, call) else interpolate(mask, size=call.plan.canvas, mode="bilinear")


def _for_tiles(layer: Tensor, call: ModelCall) -> Tensor:
    """The tiles of a layer on the canvas, in the order of the rows of the model call."""
    tiles = [cut(layer, call.plan, tile) for tile in call.tiles]
    if len(tiles) == 1:
        return tiles[0]
    copies = call.rows // layer.shape[0] if call.rows % layer.shape[0] == 0 else 1
    return torch.cat([tile.repeat(copies, 1, 1, 1) for tile in tiles])


def _latents_that_fit(unit: Any, call: ModelCall) -> dict[str, Any]:
    """A reference's latents come in as many rows as the call that first asked for them."""
    latents = getattr(unit, "used_hint_cond_latent", None)
    fits = latents is None or latents.shape[0] == call.rows * len(call.tiles)
    return {} if fits else {"used_hint_cond_latent": None}
