"""SyncDiffusion and ElasticDiffusion: what they do on a pipeline, and what hosts without them say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import sdxl_pipeline

from lib_instantas.fusion import cut
from lib_instantas.hosts.elastic import AT_ONCE, RESAMPLINGS, Blocks, ElasticDenoiser, thinned_size
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.hosts.synchronising import Synchroniser, style_statistics
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import SettingsError, parse_settings

CANVAS = (8, 32)


@pytest.mark.parametrize("name", ["ElasticDiffusion", "SyncDiffusion"])
def test_they_make_a_picture_on_a_pipeline_and_the_same_one_again(pipeline: Any, name: str) -> None:
    def made(method: str) -> torch.Tensor:
        settings = parse_settings({"enabled": True, "method": method, "tile": 64})
        seen: list[torch.Tensor] = []
        job = Job("a fox", (64, 256), settings, seed=1, steps=3, sampler="DDIM")
        Generator(pipeline)(job, on_step=lambda step, canvas: seen.append(canvas))
        return seen[-1]

    assert torch.equal(made(name), made(name))
    assert not torch.allclose(made(name), made("MultiDiffusion"), atol=1e-3)


def test_regions_with_them_are_refused(pipeline: Any) -> None:
    region = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a dog"}
    settings = parse_settings({"enabled": True, "method": "SyncDiffusion", "regions": [region]})
    with pytest.raises(SettingsError, match="regions must be empty with the method SyncDiffusion"):
        Generator(pipeline)(Job("a fox", (64, 256), settings, steps=2))


# SyncDiffusion


def test_a_model_that_is_told_sizes_is_refused_before_anything_is_painted(tmp_path: Path) -> None:
    job = Job("a fox", (64, 256), parse_settings({"enabled": True, "method": "SyncDiffusion"}), steps=2, sampler="DDIM")
    with pytest.raises(SettingsError, match=r"method must be another with SDXL, .*got 'SyncDiffusion'"):
        Generator(sdxl_pipeline(tmp_path)).check(job)


def test_synchronising_brings_what_tiles_promise_closer_together(pipeline: Any) -> None:
    pipeline.scheduler.set_timesteps(10)
    plan = make_method(Request(CANVAS, 8, parse_settings({"method": "SyncDiffusion", "overlap": 0}))).plan(0)
    prompts = torch.randn(2, 20, 12, generator=torch.Generator().manual_seed(0))
    latents = torch.randn(1, 4, *CANVAS, generator=torch.Generator().manual_seed(1))

    def spread(canvas: torch.Tensor) -> float:
        with torch.no_grad():
            promises = [
                synchroniser._promise(cut(canvas, plan, tile), prompts, pipeline.scheduler.timesteps[0])
                for tile in plan.tiles
            ]
        return float(torch.cat(promises).var(0).mean())

    synchroniser = Synchroniser(pipeline, pipeline.unet, plan, 5.0, weight=500.0)
    moved = synchroniser(latents, prompts, 0)
    assert spread(moved) < 0.9 * spread(latents)


def test_each_tile_is_asked_about_where_its_own_gradient_moved_it(pipeline: Any) -> None:
    """And the averaged tiles are the canvas."""
    pipeline.scheduler.set_timesteps(10)
    method = make_method(Request(CANVAS, 8, parse_settings({"method": "SyncDiffusion", "overlap": 0.5})))
    plan = method.plan(0)
    latents = torch.randn(1, 4, *CANVAS, generator=torch.Generator().manual_seed(1))
    synchroniser = Synchroniser(pipeline, pipeline.unet, plan, 5.0, weight=500.0)
    asked: list[torch.Tensor] = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked.append(x)
        return x

    denoiser = synchroniser.make_denoiser(model, method, tile_batch=1)
    moved = synchroniser(latents, torch.randn(2, 20, 12, generator=torch.Generator().manual_seed(0)), 0)
    answer = denoiser(moved, torch.zeros(1))
    middle = len(plan.tiles) // 2
    assert torch.allclose(asked[middle], cut(latents, plan, plan.tiles[middle]), atol=1e-5), "nothing pulls the anchor"
    for i, tile in enumerate(plan.tiles):
        if i != middle:
            assert not torch.allclose(asked[i], cut(moved, plan, tile), atol=1e-5)
            assert not torch.allclose(asked[i], cut(latents, plan, tile), atol=1e-5)
    assert torch.allclose(answer, moved, atol=1e-5)


def test_after_the_last_step_nothing_is_moved(pipeline: Any) -> None:
    pipeline.scheduler.set_timesteps(4)
    plan = make_method(Request(CANVAS, 8, parse_settings({"method": "SyncDiffusion"}))).plan(0)
    latents = torch.randn(1, 4, *CANVAS)
    assert Synchroniser(pipeline, pipeline.unet, plan, 5.0)(latents, torch.zeros(2, 20, 12), 4) is latents


def test_pictures_of_the_same_colours_are_alike_for_the_default_measure() -> None:
    red, also_red, blue = torch.zeros(3, 1, 3, 32, 32)
    red[:, 0] = also_red[:, 0] = 1
    blue[:, 2] = 1
    a, b, c = (style_statistics(picture) for picture in (red, also_red, blue))
    assert (a - b).square().mean() < (a - c).square().mean()


# ElasticDiffusion


def elastic(model: Any, canvas: tuple[int, int] = (16, 64), side: int = 16) -> ElasticDenoiser:
    method = make_method(Request(canvas, side, parse_settings({"method": "ElasticDiffusion"})))
    return ElasticDenoiser(
        model,
        method,
        side=side,
        generator=torch.Generator().manual_seed(0),
        surroundings=lambda timestep, shape: torch.full(shape, 99.0),
    )


def test_what_the_prompt_changes_comes_from_the_whole_picture_at_the_native_size() -> None:
    """A model whose conditional answer adds what it sees at each place: zero left, one right."""
    shapes, prompts = [], []

    def model(x: torch.Tensor, timestep: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(x.shape))
        prompts.append(prompt)
        return x + prompt.reshape(-1, 1, 1, 1) * (x > 0.5)

    x = torch.zeros(1, 4, 16, 64)
    x[..., 32:] = 1
    prompt = torch.tensor([0.0, 10.0])
    without, with_prompt = elastic(model)(torch.cat([x, x]), torch.zeros(1), prompt=prompt).chunk(2)
    assert torch.equal(without, x)
    torch.testing.assert_close(with_prompt, x + 10 * x)
    assert shapes[-1][1:] == (4, 16, 16), "the prompt's pull is found in native squares"
    small = -(-(RESAMPLINGS + 1) // AT_ONCE)
    assert not torch.cat(prompts[:-small]).any(), "tiles are asked without the prompt only"


def test_each_pixel_has_the_change_that_was_found_with_it_once_it_was_taken() -> None:
    """What the prompt changes is the latent itself here: no pixel of a finely drawn canvas gets its neighbour's."""

    def model(x: torch.Tensor, timestep: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        return x * prompt.reshape(-1, 1, 1, 1)

    x = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    asked = elastic(model, canvas=(32, 32))(torch.cat([x, x]), torch.zeros(1), prompt=torch.tensor([0.0, 1.0]))
    same = (asked[1:] == x).all(1).float().mean()
    assert same > 0.9, "four pixels a block, twenty chances to go on to the next"


def test_blocks_are_gone_through_without_repetition() -> None:
    blocks = Blocks((10, 24), (4, 8), torch.Generator().manual_seed(1))
    taken = [blocks.picks(0.0 if turn == 0 else 1.0) for turn in range(6)]
    assert len(blocks.of_pixel) == 240
    for pick in taken:
        assert torch.equal(blocks.of_pixel[pick], torch.arange(32))
    assert len(torch.cat(taken).unique()) == len(torch.cat(taken))
    assert torch.equal(blocks.of_pixel[blocks.first], torch.arange(32))
    assert torch.equal(taken[0], blocks.first), "each evaluation begins with the same small picture"


@pytest.mark.parametrize(
    ("canvas", "small"),
    [((64, 64), (64, 64)), ((64, 256), (16, 64)), ((256, 64), (64, 16)), ((64, 1000), (8, 64)), ((130, 100), (64, 56))],
)
def test_the_small_picture_has_the_proportions_of_the_large_one(canvas: Any, small: Any) -> None:
    assert thinned_size(canvas, 64) == small


def test_without_an_unconditional_half_there_is_nothing_to_tell_apart() -> None:
    with pytest.raises(SettingsError, match="guidance must be above 1"):
        elastic(lambda x, timestep: x)(torch.randn(2, 4, 16, 64), torch.zeros(1))
