"""Prompts as conditions over time."""

from __future__ import annotations

from typing import Any

import torch


class SdConditioning(list):
    def __init__(self, prompts: Any, is_negative_prompt: bool = False, width: Any = None, height: Any = None) -> None:
        super().__init__(prompts)


class DictWithShape(dict):
    def __init__(self, values: dict, shape: Any) -> None:
        super().__init__(values)


def get_learned_conditioning(model: Any, prompts: Any, *_: Any) -> list:
    return [model.get_learned_conditioning([prompt])[0] for prompt in prompts]


def reconstruct_cond_batch(schedule: Any, step: int) -> torch.Tensor:
    return torch.stack(list(schedule))


def get_multicond_prompt_list(prompts: Any) -> tuple[list, list, dict]:
    return [], [*prompts], {}


def get_learned_conditioning_prompt_schedules(
    prompts: Any, base_steps: int, hires_steps: int | None = None, use_old_scheduling: bool = False
) -> list:
    return [[[base_steps, prompt]] for prompt in prompts]
