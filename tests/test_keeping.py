"""FSTD leaves the latent as it was where a step has no tile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

from benchmarks.device.simulated_cuda import SimulatedCuda
from lib_instantas.hosts.keeping import LatentKeeper, coverage
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings

STEPS, SEED = 6, 3
SETTINGS = parse_settings({"enabled": True, "method": "FSTD", "fit": "native"})


@pytest.mark.parametrize("sampler", ["DDIM", "Euler", "Euler a", "DPM++ 2M"])
def test_what_the_model_sees_stays_where_no_tile_lies(pipeline: Any, sampler: str) -> None:
    canvases: list[torch.Tensor] = []
    job = Job("a fox", (64, 192), SETTINGS, seed=SEED, steps=STEPS, sampler=sampler)
    Generator(pipeline)(job, on_step=lambda step, canvas: canvases.append(seen_by_model(pipeline, canvas)))
    method = make_method(Request((8, 24), 8, SETTINGS, SEED, STEPS))
    plans = [method.plan(step) for step in range(STEPS)]
    assert sum(plan.uncovered > 0 for plan in plans) >= 2
    for step in range(1, STEPS):
        before, after = canvases[step - 1], canvases[step]
        covered = coverage(plans[step], before.device)
        assert torch.allclose(before[..., ~covered], after[..., ~covered], atol=1e-4)
        assert not torch.allclose(before[..., covered], after[..., covered], atol=1e-3)


def test_on_a_card_nothing_is_copied_between_the_steps() -> None:
    method = make_method(Request((8, 24), 8, SETTINGS, SEED, STEPS))
    keeper = LatentKeeper(SimpleNamespace(scheduler=DDIMScheduler()), method)
    with SimulatedCuda() as card:
        latents = [keeper(card.empty(1, 4, 8, 24), step) for step in range(STEPS)]
    assert {one.device for one in latents} == {torch.device("cuda:0")}
    assert (card.record.copies, card.record.syncs, card.record.mismatches) == ({}, {}, {})


def seen_by_model(pipeline: Any, canvas: torch.Tensor) -> torch.Tensor:
    """Latents as the next evaluation will see them; after the last step there is no noise to scale by."""
    scheduler = pipeline.scheduler
    if "Euler" not in type(scheduler).__name__:
        return canvas
    return canvas / (scheduler.sigmas[scheduler.step_index] ** 2 + 1) ** 0.5
