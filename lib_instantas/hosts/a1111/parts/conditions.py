"""The host's conditions: what prompts are from step to step, as tokens, and what stands in front of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from modules import devices, extra_networks, prompt_parser, sd_samplers, shared
from torch import Tensor, nn

from lib_instantas.attention import PrepareContext, unaltered_context
from lib_instantas.hosts.a1111.parts import SamplingPass
from lib_instantas.settings import SettingsError
from lib_instantas.texts import messages

try:
    from modules.hypernetworks import hypernetwork
except ImportError:
    hypernetwork = None  # Forge Classic has none.


class Unmarked:
    """Tokens without the mark that ControlNet puts in front: one token of equal channels, which no prompt has.

    Looked for once in a pass, for to look is to read from the device.
    """

    def __init__(self) -> None:
        self._marked: bool | None = None

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens [rows, tokens, channels], or those after the first."""
        if self._marked is None:
            first = tokens[:, 0]
            self._marked = bool((first == first[:, :1]).all() and (first != 0).all())
        return tokens[:, 1:] if self._marked else tokens


class ScheduledPrompts:
    """A prompt of each picture of a batch, or of all of them, encoded for every step of a run.

    Where nothing is asked for in any picture, it is each row's main prompt.
    """

    def __init__(self, work: SamplingPass, texts: Sequence[str], is_negative: bool = False) -> None:
        styles = work.p.styles or []
        add = "apply_negative_styles_to_prompt" if is_negative else "apply_styles_to_prompt"
        prompts = [getattr(shared.prompt_styles, add)(text, styles) for text in texts]
        self._schedules = _schedules(work, prompts, is_negative) if any(texts) else None

    def at(self, step: int, main: Tensor) -> Tensor:
        """Tokens [rows or 1, tokens, channels] for rows whose main prompt is `main`."""
        return _at_step(self._schedules, step, main)


def tokens_of(conditioning: Any) -> Tensor:
    """The prompts' tokens [rows, tokens, channels] in the host's conditioning, which is more than these for SDXL."""
    tokens: Tensor = conditioning["crossattn"] if isinstance(conditioning, dict) else conditioning
    return tokens


def with_tokens(conditioning: Any, tokens: Tensor) -> Any:
    """The same conditioning with other tokens."""
    if not isinstance(conditioning, dict):
        return tokens
    changed = copy(conditioning)  # of the host's own class, whose arguments differ from host to host
    changed["crossattn"] = tokens
    return changed


def schedule_steps(work: SamplingPass) -> tuple[int, int | None]:
    """What the host reckons its schedules with: evaluations of the first pass, and in the second pass those of it."""
    p = work.p
    first = getattr(p, "firstpass_steps", None) or _evaluations(p.sampler_name, p.steps)
    if not work.is_hires_pass:
        return first, None
    return first, _evaluations(p.hr_sampler_name or p.sampler_name, p.hr_second_pass_steps or p.steps)


def _with_hypernetworks(layer: nn.Module, context: Tensor) -> tuple[Tensor, Tensor]:
    keys, values = hypernetwork.apply_hypernetworks(shared.loaded_hypernetworks, context)
    return keys, values


PREPARE_CONTEXT: PrepareContext = _with_hypernetworks if hypernetwork else unaltered_context
"""What keys and values are made of on this host."""


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
            shared.sd_model, texts, *schedule_steps(work), shared.opts.use_old_scheduling
        )


def _evaluations(sampler: str, steps: int) -> int:
    config = sd_samplers.find_sampler_config(sampler)
    return config.total_steps(steps) if config else steps


def _at_step(schedules: list[list[Any]] | None, step: int, main: Tensor) -> Tensor:
    if schedules is None:
        return main
    rows = [tokens_of(prompt_parser.reconstruct_cond_batch(schedule, step)).to(main) for schedule in schedules]
    if len(rows) == 1:
        return rows[0]
    if len(rows) != len(main):
        raise SettingsError(messages.WILDCARDS_AND_AND())
    # Repeated, a prompt is the same to attention: so all of them become equally long.
    length = math.lcm(*(row.shape[1] for row in rows))
    return torch.cat([row.repeat(1, length // row.shape[1], 1) for row in rows])
