"""Regional prompts in the WebUI: read by the host's own parser, laid out behind the main prompt at each evaluation."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from copy import copy
from typing import Any

import torch
from modules import devices, extra_networks, prompt_parser, sd_samplers, shared
from torch import Tensor, nn

from lib_instantas.attention import RegionalAttention, unaltered_context
from lib_instantas.attention_layers import has_cross_attention
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import ModelCall
from lib_instantas.hosts.a1111.parts import HostPart, SamplingPass
from lib_instantas.hosts.a1111.parts.controlnet import units_of
from lib_instantas.hosts.a1111.samplers import family
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.shapes import Crop
from lib_instantas.texts import messages

try:
    from modules.hypernetworks import hypernetwork
except ImportError:
    hypernetwork = None  # Forge Classic has none.

logger = logging.getLogger(__name__)

EXTRA_NETWORK = re.compile(r"<(\w+):[^>]*>")
AND = re.compile(r"\bAND\b")


def check_region_prompts(settings: Settings) -> None:
    """Refuse what the host can only do for a whole picture. Raises SettingsError."""
    for index, region in enumerate(settings.region_setup.regions):
        for name, prompt in (("prompt", region.prompt), ("negative_prompt", region.negative_prompt)):
            place = f"regions[{index}].{name}"
            if network := EXTRA_NETWORK.search(prompt):
                raise SettingsError(messages.NETWORK_IN_REGION(place=place, network=network[1]))
            if AND.search(prompt):
                raise SettingsError(messages.AND_IN_REGION(place=place))


def regional_prompts(work: SamplingPass) -> HostPart | None:
    """The part for a run whose settings have active regions."""
    setup = _on_the_canvas(work)
    return RegionalPrompts(work, setup) if setup.active else None


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
    """The regions of one sampling run of one model, which may be the refiner."""

    def __init__(self, work: SamplingPass, setup: RegionSetup) -> None:
        self._attention = RegionalAttention(
            [work.unet, *_control_models(work.p)],
            setup,
            upcast=bool(shared.opts.upcast_attn),
            prepare_context=_with_hypernetworks if hypernetwork else unaltered_context,
            closed=work.settings.wraps_per_axis,
            binding=0 if work.is_hires_pass else work.settings.region_binding,
        )
        setups = work.setups or (setup,)
        self._regions = [_ScheduledRegion(work, same) for same in zip(*(one.active for one in setups), strict=True)]
        self._marked: bool | None = None
        _warn_of_empty_regions(setup, self._attention.shares(work.canvas))

    def before_evaluation(self, params: Any) -> None:
        """Lay the regions' prompts out behind those of every row, positive and negative alike."""
        step = params.denoiser.step
        positive = _tokens(params.text_cond)
        main = self._without_mark(positive)
        groups = [[positive, *(region.positive(step, main) for region in self._regions)]]
        if params.text_uncond is not None:  # Forge has no negative rows where CFG is 1.
            negative = _tokens(params.text_uncond)
            main = self._without_mark(negative)
            groups.append([negative, *(region.negative(step, main) for region in self._regions)])
        (positive, *negatives), self._attention.layout = lay_out(*groups)
        params.text_cond = _with_tokens(params.text_cond, positive)
        for negative in negatives:
            params.text_uncond = _with_tokens(params.text_uncond, negative)

    def __call__(self, call: ModelCall) -> AbstractContextManager[Any]:
        """Regional attention, for the tiles of one call of the model."""
        return self._attention(call)

    def _without_mark(self, tokens: Tensor) -> Tensor:
        """Without the mark that ControlNet puts in front: one token of equal channels, which no prompt has.

        Looked for once in a pass, for to look is to read from the device.
        """
        if self._marked is None:
            first = tokens[:, 0]
            self._marked = bool((first == first[:, :1]).all() and (first != 0).all())
        return tokens[:, 1:] if self._marked else tokens


class _ScheduledRegion:
    """A region's prompts, encoded for every step of a run; without a prompt of its own it has each row's main one.

    `same` is this region of each picture of the batch, whose prompts may differ, or of all of them.
    """

    def __init__(self, work: SamplingPass, same: Sequence[Region]) -> None:
        styles = work.p.styles or []
        prompts = [shared.prompt_styles.apply_styles_to_prompt(one.prompt, styles) for one in same]
        negatives = [shared.prompt_styles.apply_negative_styles_to_prompt(one.negative_prompt, styles) for one in same]
        self._positive = _schedules(work, prompts, is_negative=False) if any(one.prompt for one in same) else None
        self._negative = (
            _schedules(work, negatives, is_negative=True) if any(one.negative_prompt for one in same) else None
        )

    def positive(self, step: int, main: Tensor) -> Tensor:
        """Tokens [rows or 1, tokens, channels] for the positive rows, whose main prompt is `main`."""
        return _at_step(self._positive, step, main)

    def negative(self, step: int, main: Tensor) -> Tensor:
        """The same for the negative rows."""
        return _at_step(self._negative, step, main)


def _schedules(work: SamplingPass, prompts: Sequence[str], is_negative: bool) -> list[list[Any]]:
    """The schedule of each picture's prompt, or one where they are alike."""
    made = {prompt: _schedule(work, prompt, is_negative) for prompt in dict.fromkeys(prompts)}
    return [made[prompt] for prompt in (prompts if len(made) > 1 else prompts[:1])]


def _schedule(work: SamplingPass, prompt: str, is_negative: bool) -> list[Any]:
    """The host's schedule of one prompt: what it is from step to step, encoded by the model that is loaded now."""
    # A style's LoRA is at work already, through the main prompt that has the same style.
    text, _ = extra_networks.parse_prompt(prompt)
    texts = prompt_parser.SdConditioning(
        [text], is_negative_prompt=is_negative, width=work.p.width, height=work.p.height
    )
    with devices.autocast():
        return prompt_parser.get_learned_conditioning(
            shared.sd_model, texts, *_steps(work), shared.opts.use_old_scheduling
        )


def _steps(work: SamplingPass) -> tuple[int, int | None]:
    """What the host reckons its schedules with: evaluations of the first pass, and in the second pass those of it."""
    p = work.p
    first = getattr(p, "firstpass_steps", None) or _evaluations(p.sampler_name, p.steps)
    if not work.is_hires_pass:
        return first, None
    return first, _evaluations(p.hr_sampler_name or p.sampler_name, p.hr_second_pass_steps or p.steps)


def _evaluations(sampler: str, steps: int) -> int:
    config = sd_samplers.find_sampler_config(sampler)
    return config.total_steps(steps) if config else steps


def _at_step(schedules: list[list[Any]] | None, step: int, main: Tensor) -> Tensor:
    if schedules is None:
        return main
    rows = [_tokens(prompt_parser.reconstruct_cond_batch(schedule, step)).to(main) for schedule in schedules]
    if len(rows) == 1:
        return rows[0]
    if len(rows) != len(main):
        raise SettingsError(messages.WILDCARDS_AND_AND())
    # Repeated, a prompt is the same to attention: so all of them become equally long.
    length = math.lcm(*(row.shape[1] for row in rows))
    return torch.cat([row.repeat(1, length // row.shape[1], 1) for row in rows])


def _tokens(conditioning: Any) -> Tensor:
    return conditioning["crossattn"] if isinstance(conditioning, dict) else conditioning


def _with_tokens(conditioning: Any, tokens: Tensor) -> Any:
    if not isinstance(conditioning, dict):
        return tokens
    changed = copy(conditioning)  # of the host's own class, whose arguments differ from host to host
    changed["crossattn"] = tokens
    return changed


def _control_models(p: Any) -> list[nn.Module]:
    """ControlNet's copies of the UNet that read the prompts themselves, on feature maps of the same tiles."""
    models = [*(getattr(unit, "control_model", None) for unit in units_of(p)), *family().control_models()]
    return [model for model in models if isinstance(model, nn.Module) and has_cross_attention(model)]


def _with_hypernetworks(layer: nn.Module, context: Tensor) -> tuple[Tensor, Tensor]:
    return hypernetwork.apply_hypernetworks(shared.loaded_hypernetworks, context)


def _warn_of_empty_regions(setup: RegionSetup, shares: Tensor) -> None:
    for region, share in zip(setup.active, shares[1:], strict=True):
        if not torch.any(share > 0):
            logger.warning("InstantAS: regions[%d] covers nothing of the picture", setup.regions.index(region))
