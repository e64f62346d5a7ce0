"""DemoFusion: phases, the share of the phase before, and pictures of every n-th pixel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lib_instantas.fusion import assemble
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.hosts.upscaling_phases import DilatedViews, Phase, PhaseDenoiser, blurred, share
from lib_instantas.methods import Direct, Request, ShakenGrid, make_method, phases
from lib_instantas.settings import parse_settings


def grid(canvas: tuple[int, int], seed: int = 0, overlap: float = 0.5) -> Any:
    return make_method(Request(canvas, 16, parse_settings({"method": "DemoFusion", "overlap": overlap}), seed))


@pytest.mark.parametrize(
    ("canvas", "sizes"),
    [
        ((128, 128), [(64, 64), (128, 128)]),
        ((192, 192), [(64, 64), (128, 128), (192, 192)]),
        ((128, 256), [(32, 64), (64, 128), (96, 192), (128, 256)]),
        ((70, 90), [(40, 48), (70, 90)]),
        ((64, 48), [(64, 48)]),
    ],
)
def test_phases_grow_from_the_native_size_in_the_proportions_of_the_picture(canvas: Any, sizes: Any) -> None:
    assert list(phases(canvas, 64)) == sizes


def test_tiles_are_shaken_by_up_to_a_quarter_of_their_overlap_and_cover_the_canvas() -> None:
    method = grid((60, 90), seed=4)
    still = [(tile.y.window.start, tile.x.window.start) for tile in make_method(
        Request((60, 90), 16, parse_settings({"method": "MultiDiffusion", "overlap": 0.5}))).plan(0).tiles]  # fmt: skip
    moves = set()
    for evaluation in range(20):
        plan = method.plan(evaluation)
        for tile, (y, x) in zip(plan.tiles, still, strict=True):
            down, right = tile.y.window.start - y, tile.x.window.start - x
            moves |= {down, right}
            assert down == 0 or 0 < y < 60 - 16
            assert right == 0 or 0 < x < 90 - 16
        ones = [(tile, torch.ones(1, 1, *tile.size)) for tile in plan.tiles]
        assert torch.equal(assemble(plan, ones), torch.ones(1, 1, 60, 90))
    assert moves == {-2, -1, 0, 1, 2}
    assert grid((60, 90), seed=4).plan(3) == method.plan(3) != grid((60, 90), seed=5).plan(3)


def test_the_share_falls_from_one_to_nothing_by_its_power() -> None:
    for power in (1.0, 3.0):
        values = [float(share(torch.tensor(t), 1000, power)) for t in (1000, 750, 500, 250, 0)]
        expected = [((1 + math.cos(math.pi * u)) / 2) ** power for u in (0, 0.25, 0.5, 0.75, 1)]
        assert values == pytest.approx(expected, abs=1e-6)


def test_the_blur_is_a_gaussian_that_keeps_mean_and_spread() -> None:
    canvas = torch.zeros(1, 1, 9, 9)
    canvas[0, 0, 4, 4] = 1
    smooth = blurred(canvas, 3, torch.tensor(0.8))
    assert smooth.mean() == pytest.approx(float(canvas.mean()), abs=1e-6)
    assert smooth.std() == pytest.approx(float(canvas.std()), rel=1e-4)
    peak, beside, two = (float(smooth[0, 0, 4, 4 + by] - smooth[0, 0, 0, 0]) for by in range(3))
    assert beside / peak == pytest.approx(math.exp(-1 / (2 * 0.8**2)), rel=1e-3)
    assert two / peak == pytest.approx(math.exp(-4 / (2 * 0.8**2)), rel=1e-3)
    noise = torch.randn(1, 4, 20, 20)
    torch.testing.assert_close(blurred(noise, 2, torch.tensor(0.01)), noise, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("canvas", [(32, 48), (30, 47)])
@pytest.mark.parametrize("scale", [2, 3])
def test_dilated_pictures_are_every_nth_pixel_and_come_back_to_their_places(canvas: Any, scale: int) -> None:
    x = torch.randn(1, 4, *canvas)
    views = DilatedViews(canvas, scale)
    back = torch.full_like(x, torch.nan)
    for down, right in views.corners:
        picture = views.take(x, (down, right))
        assert picture.shape[-2] % 8 == picture.shape[-1] % 8 == 0
        own = x[..., down::scale, right::scale]
        assert torch.equal(picture[..., : own.shape[-2], : own.shape[-1]], own)
        views.put(back, (down, right), picture)
    assert torch.equal(back, x)


@pytest.fixture
def phase(pipeline: Any) -> Phase:
    pipeline.scheduler.set_timesteps(5)
    return Phase(pipeline, 0.5 * torch.randn(1, 4, 8, 8) + 0.3, (16, 16), 2, 1, 5)


def test_a_prediction_is_the_tiles_and_the_dilated_pictures_in_their_shares(phase: Phase) -> None:
    """Tiles answer 1, pictures of the whole, which are as small as those, are told by their contents and answer 3."""
    canvas = torch.zeros(1, 4, 16, 16)
    asked: list[float] = []

    def model(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        dilated = len(asked) >= tiles
        asked.extend([0.0] * len(x))
        return torch.full_like(x, 3.0 if dilated else 1.0)

    method = make_method(Request((16, 16), 8, parse_settings({"method": "DemoFusion"})))
    assert isinstance(method, ShakenGrid)
    tiles = len(method.plan(0).tiles)
    denoiser = phase.make_denoiser(model, method, tile_batch=1)
    assert isinstance(denoiser, PhaseDenoiser)
    answer = denoiser(canvas + torch.randn_like(canvas), torch.tensor(750))
    of_whole = (1 + math.cos(math.pi / 4)) / 2
    torch.testing.assert_close(answer, torch.full_like(answer, 1 - of_whole + 3 * of_whole))
    assert len(asked) == tiles + 4


def test_the_canvas_is_drawn_to_the_phase_before_and_ends_with_its_contrast(phase: Phase, pipeline: Any) -> None:
    latents = torch.randn(1, 4, 16, 16)
    timestep = pipeline.scheduler.timesteps[2]
    c = ((1 + math.cos(math.pi * (1000 - float(timestep)) / 1000)) / 2) ** 3
    alpha = float(pipeline.scheduler.alphas_cumprod[int(timestep)])
    noised = alpha**0.5 * phase.enlarged + (1 - alpha) ** 0.5 * phase.noise
    torch.testing.assert_close(phase(latents, 1), (1 - c) * latents + c * noised, rtol=1e-4, atol=1e-5)
    last = phase(latents, 4)
    mean, deviation = phase.anchor
    torch.testing.assert_close((last.mean(), last.std()), (mean, deviation))


@pytest.mark.parametrize("sampler", ["DDIM", "Euler", "Euler a", "DPM++ 2M"])
def test_a_picture_is_made_in_phases_and_is_the_same_one_again(pipeline: Any, sampler: str) -> None:
    settings = parse_settings({"enabled": True, "method": "DemoFusion"})
    job = Job("a fox", (128, 192), settings, seed=1, steps=3, sampler=sampler)
    shapes: list[tuple[int, ...]] = []

    def made(**values: Any) -> Any:
        canvases: list[torch.Tensor] = []
        result = Generator(pipeline)(job, on_step=lambda step, canvas: canvases.append(canvas))
        shapes[:] = [tuple(canvas.shape[-2:]) for canvas in canvases]
        assert all(canvas.isfinite().all() for canvas in canvases)
        return result

    first = made()
    assert shapes == [(8, 8)] * 3 + [(16, 16)] * 3 + [(16, 24)] * 3
    assert first.image.size == (192, 128)
    assert first.image.tobytes() == made().image.tobytes()
    assert "phase 3" in first.infotext


def test_what_fits_one_tile_is_one_phase_left_to_the_model() -> None:
    assert grid((16, 12)) == Direct((16, 12))
