"""Predictions are fused and noise is added once: stochastic samplers keep their variance (the law of GVCF's eq. 14)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benchmarks.tables.per_tile_noise import KINDS, correction, fused_noise
from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import NAMES, Method, Request, make_method
from lib_instantas.settings import parse_settings

SCHEDULE: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
STEPS = 20
DATA_STD = 0.5
CANVAS = (32, 96)
WEIGHTED = ("MultiDiffusion", "Mixture of Diffusers", "Guided Fusion")


def ddim() -> Any:
    return DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1)


def euler_a() -> Any:
    return EulerAncestralDiscreteScheduler(**SCHEDULE)


def dpm_sde() -> Any:
    return DPMSolverMultistepScheduler(**SCHEDULE, algorithm_type="sde-dpmsolver++")


SAMPLERS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "DDIM eta 1": (ddim, {"eta": 1.0}),
    "Euler a": (euler_a, {}),
    "DPM++ 2M SDE": (dpm_sde, {}),
}
samplers = pytest.mark.parametrize("sampler", list(SAMPLERS))


def method(name: str, canvas: tuple[int, int] = CANVAS, overlap: float = 0.75) -> Method:
    return make_method(Request(canvas, 16, parse_settings({"method": name, "overlap": overlap}), seed=1))


def gaussian_model(scheduler: Any) -> Callable[..., torch.Tensor]:
    """The perfect model of pixels drawn from N(0, DATA_STD^2): linear, eps = E[noise | x]."""

    def model(x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        alpha = scheduler.alphas_cumprod[int(timestep)]
        return x * (1 - alpha).sqrt() / (alpha * DATA_STD**2 + 1 - alpha)

    return model


def sample(sampler: str, denoise: Callable[..., torch.Tensor] | None, rows: int = 16, seed: int = 0) -> torch.Tensor:
    """A whole run of the sampler on Gaussian data, with tiles or, without `denoise`, without."""
    make, options = SAMPLERS[sampler]
    scheduler = make()
    scheduler.set_timesteps(STEPS)
    generator = torch.Generator().manual_seed(seed)
    model = gaussian_model(scheduler)
    denoiser = TiledDenoiser(model, denoise) if denoise else None
    x = torch.randn(rows, 4, *CANVAS, generator=generator) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, timestep)
        eps = (denoiser or model)(scaled, timestep)
        x = scheduler.step(eps, timestep, x, generator=generator, **options).prev_sample
        if denoiser:
            denoiser.next_evaluation()
    return x


@samplers
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("FSTD", "direct")])
def test_a_run_with_tiles_ends_with_the_variance_of_a_run_without(sampler: str, name: str) -> None:
    fused = sample(sampler, method(name))
    plain = sample(sampler, None, seed=99)
    assert fused.var() == pytest.approx(float(plain.var()), rel=0.02)
    columns = fused.var(dim=(0, 1, 2))
    assert columns.min() > 0.8 * plain.var(), "nowhere along the picture, under however many tiles"


def contrary(x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """A model whose answer for a pixel depends on the whole tile around it, so that overlapping tiles disagree."""
    return 0.3 * x + 2 * x.mean((-2, -1), keepdim=True) + torch.linspace(-1, 1, x.shape[-1])


def noise_of_one_step(sampler: str, step: int) -> float:
    """Standard deviation of the noise that one step adds, from the sampler's own publication."""
    scheduler = SAMPLERS[sampler][0]()
    scheduler.set_timesteps(STEPS)
    now, then = int(scheduler.timesteps[step]), int(scheduler.timesteps[step + 1])
    alpha, alpha_next = (float(scheduler.alphas_cumprod[t]) for t in (now, then))
    sigma, sigma_next = (math.sqrt(1 / a - 1) for a in (alpha, alpha_next))
    if sampler == "DDIM eta 1":  # DDIM (Song et al. 2020), eq. 16
        return math.sqrt((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next))
    if sampler == "Euler a":  # sigma_up of the ancestral step (k-diffusion)
        return math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2)
    h = math.log(sigma / sigma_next)  # SDE-DPM-Solver++ (Lu et al. 2022, eq. 18): log-SNR step in alpha / sigma
    return math.sqrt(1 - alpha_next) * math.sqrt(1 - math.exp(-2 * h))


@samplers
@pytest.mark.parametrize("name", WEIGHTED)
def test_one_step_adds_the_samplers_noise_to_every_pixel_however_many_tiles_see_it(sampler: str, name: str) -> None:
    make, options = SAMPLERS[sampler]
    scheduler, step, rows = make(), 8, 6000
    scheduler.set_timesteps(STEPS)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(step)
    canvas, timestep = (16, 40), scheduler.timesteps[step]
    x = torch.randn(1, 1, *canvas, generator=torch.Generator().manual_seed(2)).repeat(rows, 1, 1, 1)
    scaled = scheduler.scale_model_input(x[:1], timestep)
    eps = TiledDenoiser(contrary, method(name, canvas))(scaled, timestep).repeat(rows, 1, 1, 1)
    stepped = scheduler.step(eps, timestep, x, generator=torch.Generator().manual_seed(3), **options).prev_sample
    expected = noise_of_one_step(sampler, step)
    deviation = stepped.std(dim=0)
    assert deviation.mean() == pytest.approx(expected, rel=0.01)
    assert (deviation / expected - 1).abs().max() < 6 / math.sqrt(2 * rows)


# The other way round: each tile draws its own noise


@hypothesis_settings(max_examples=30)
@given(st.sampled_from(WEIGHTED), st.tuples(st.integers(8, 60), st.integers(8, 60)), st.sampled_from([0.25, 0.5, 0.75]))
def test_the_correction_is_equation_14(name: str, canvas: tuple[int, int], overlap: float) -> None:
    plan = method(name, canvas, overlap).plan(0)
    factor = correction(plan)
    if plan.weights is None:
        assert (factor == 1).all()
        return
    y, x = canvas[0] // 2, canvas[1] // 3
    weights = [
        float(plan.weights(tile.size)[y - tile.y.window.start, x - tile.x.window.start])
        for tile in plan.tiles
        if tile.y.window.start <= y < tile.y.window.stop and tile.x.window.start <= x < tile.x.window.stop
    ]
    assert factor[y, x] == pytest.approx(sum(weights) / math.sqrt(sum(w**2 for w in weights)), rel=1e-4)


@pytest.mark.parametrize("name", WEIGHTED)
def test_noise_per_tile_is_weak_where_tiles_overlap_and_the_correction_cures_it(name: str) -> None:
    plan = method(name).plan(0)
    generator = torch.Generator().manual_seed(0)
    variance = {kind: fused_noise(plan, kind, 400, 1, generator).var(0) for kind in KINDS}
    assert variance["once on the canvas"].mean() == pytest.approx(1, abs=0.02)
    assert variance["per tile, corrected"].mean() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(variance["per tile"].mean(), (1 / correction(plan) ** 2).mean(), rtol=0.03, atol=0)
    assert variance["per tile"].mean() < 0.7


def test_averaged_noise_makes_a_run_lose_its_variance_as_equation_11_says() -> None:
    """MultiDiffusion with DDIM eta 1: the blur of GVCF's figure 3, and its cure."""
    plan = method("MultiDiffusion").plan(0)
    plain = float(sample("DDIM eta 1", None).var())
    ends = {kind: float(_run_with_noise(plan, kind).var()) for kind in KINDS}
    assert ends["once on the canvas"] == pytest.approx(plain, rel=0.02)
    assert ends["per tile, corrected"] == pytest.approx(plain, rel=0.02)
    assert ends["per tile"] < 0.6 * plain


def _run_with_noise(plan: Any, kind: str) -> torch.Tensor:
    scheduler = ddim()
    scheduler.set_timesteps(STEPS)
    generator = torch.Generator().manual_seed(4)
    model = gaussian_model(scheduler)
    x = torch.randn(16, 4, *CANVAS, generator=generator)
    for timestep in scheduler.timesteps:
        noise = fused_noise(plan, kind, 16, 4, generator)
        x = scheduler.step(model(x, timestep), timestep, x, eta=1.0, variance_noise=noise).prev_sample
    return x
