"""Regional prompts in the WebUI: read by the host's own parser, laid out behind the main prompt at each evaluation."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from modules import shared
from torch import Tensor, nn

from lib_instantas.attention import RegionalAttention, SharedOut
from lib_instantas.attention_layers import has_cross_attention
from lib_instantas.background import BackgroundSetup
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import ModelCall, Part
from lib_instantas.hosts.a1111.parts import HostPart, SamplingPass
from lib_instantas.hosts.a1111.parts.conditions import (
    PREPARE_CONTEXT,
    ScheduledPrompts,
    Unmarked,
    tokens_of,
    with_tokens,
)
from lib_instantas.hosts.a1111.parts.controlnet import units_of
from lib_instantas.hosts.a1111.samplers import family
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.shapes import Crop
from lib_instantas.texts import messages

logger = logging.getLogger(__name__)

EXTRA_NETWORK = re.compile(r"<(\w+):[^>]*>")
AND = re.compile(r"\bAND\b")

_WHOLE = torch.ones(1, 1)
"""The thing of a picture where none was seen: the whole prompt stands everywhere."""


def check_region_prompts(settings: Settings) -> None:
    """Refuse what the host can only do for a whole picture. Raises SettingsError."""
    for index, region in enumerate(settings.region_setup.regions):
        for name, prompt in (("prompt", region.prompt), ("negative_prompt", region.negative_prompt)):
            check_part_prompt(f"regions[{index}].{name}", prompt)


def check_part_prompt(place: str, prompt: str) -> None:
    """The same for the prompt of one part of a picture, which is called by its `place` among the settings."""
    if network := EXTRA_NETWORK.search(prompt):
        raise SettingsError(messages.NETWORK_IN_REGION(place=place, network=network[1]))
    if AND.search(prompt):
        raise SettingsError(messages.AND_IN_REGION(place=place))


def regional_prompts(work: SamplingPass) -> HostPart | None:
    """The part for a run whose settings have active regions, or a background prompt and a thing on it."""
    setup = _on_the_canvas(work)
    things = [] if work.seen is None or work.composes else work.seen.things(len(work.seeds))
    things = things if any(thing is not None for thing in things) else []
    return RegionalPrompts(work, setup, things) if setup.active or things else None


def _on_the_canvas(work: SamplingPass) -> RegionSetup:
    """The regions, drawn on the whole picture, as the canvas shows them: inpainting "only masked" samples a part."""
    setup, part = work.settings.region_setup, getattr(work.p, "paste_to", None)
    whole = getattr(work.p, "mask_for_overlay", None)
    if part is None or whole is None:
        return setup
    x, y, width, height = part
    crop = Crop(x / whole.width, y / whole.height, width / whole.width, height / whole.height)
    return setup.cropped(crop, (whole.height, whole.width))


class RegionalPrompts(HostPart):
    """The regions of one sampling run of one model, which may be the refiner; and a background prompt behind them.

    `things` are the things of each picture of the batch that a background prompt is to leave alone; None is a picture
    where none was seen. Without a background there are no `things`.
    """

    def __init__(self, work: SamplingPass, setup: RegionSetup, things: Sequence[Tensor | None] = ()) -> None:
        of_pictures: list[SharedOut] = [BackgroundSetup(setup, _WHOLE if one is None else one) for one in things]
        self._attentions = [self._attention(work, one) for one in of_pictures or [setup]]
        setups = work.setups or (setup,)
        self._prompts = [_of_region(work, same) for same in zip(*(one.active for one in setups), strict=True)]
        if things:
            background = ScheduledPrompts(work, [work.settings.compose_background])
            self._prompts.append((background, ScheduledPrompts(work, [""], is_negative=True)))
        self._unmarked = Unmarked()
        _warn_of_empty_regions(setup, self._attentions[0].shares(work.canvas))

    def before_evaluation(self, params: Any) -> None:
        """Lay the other prompts out behind those of every row, positive and negative alike."""
        step = params.denoiser.step
        positive = tokens_of(params.text_cond)
        main = self._unmarked(positive)
        groups = [[positive, *(asked.at(step, main) for asked, _ in self._prompts)]]
        if params.text_uncond is not None:  # Forge has no negative rows where CFG is 1.
            negative = tokens_of(params.text_uncond)
            main = self._unmarked(negative)
            groups.append([negative, *(refused.at(step, main) for _, refused in self._prompts)])
        (positive, *negatives), layout = lay_out(*groups)
        for attention in self._attentions:
            attention.layout = layout
        params.text_cond = with_tokens(params.text_cond, positive)
        for negative in negatives:
            params.text_uncond = with_tokens(params.text_uncond, negative)

    def of_picture(self, index: int) -> Part:
        """Regional attention for the tiles of a call that is about one picture of the batch."""
        return self._attentions[index if len(self._attentions) > 1 else 0]

    def __call__(self, call: ModelCall) -> AbstractContextManager[Any]:
        """Regional attention, for the tiles of one call of the model."""
        return self._attentions[0](call)

    def _attention(self, work: SamplingPass, setup: SharedOut) -> RegionalAttention:
        return RegionalAttention(
            [work.unet, *_control_models(work.p)],
            setup,
            upcast=bool(shared.opts.upcast_attn),
            prepare_context=PREPARE_CONTEXT,
            closed=work.settings.wraps_per_axis,
            binding=0 if work.is_hires_pass else work.settings.region_binding,
        )


def _of_region(work: SamplingPass, same: Sequence[Region]) -> tuple[ScheduledPrompts, ScheduledPrompts]:
    """What a region asks for, and what it refuses; `same` is this region of each picture of the batch."""
    return (
        ScheduledPrompts(work, [one.prompt for one in same]),
        ScheduledPrompts(work, [one.negative_prompt for one in same], is_negative=True),
    )


def _control_models(p: Any) -> list[nn.Module]:
    """ControlNet's copies of the UNet that read the prompts themselves, on feature maps of the same tiles."""
    models = [*(getattr(unit, "control_model", None) for unit in units_of(p)), *family().control_models()]
    return [model for model in models if isinstance(model, nn.Module) and has_cross_attention(model)]


def _warn_of_empty_regions(setup: RegionSetup, shares: Tensor) -> None:
    for region, share in zip(setup.active, shares[1 : 1 + len(setup.active)], strict=True):
        if not torch.any(share > 0):
            logger.warning("InstantAS: regions[%d] covers nothing of the picture", setup.regions.index(region))
