"""Merge-Attend-Diffuse: tiles attend as one canvas, in one call, for half of the evaluations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_unets import UNETS

from lib_instantas.denoiser import ModelCall, TiledDenoiser
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.merged_attention import MergedAttention, Views
from lib_instantas.methods import MergedGrid, Request, make_method
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import TilePlan

CONTEXT = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(0))


def grid(canvas: tuple[int, int], side: int = 16, overlap: float = 0.5, steps: int = 8) -> MergedGrid:
    settings = parse_settings({"method": "Merge-Attend-Diffuse", "overlap": overlap})
    method = make_method(Request(canvas, side, settings, steps=steps))
    assert isinstance(method, MergedGrid)
    return method


def views_of(plan: TilePlan, size: tuple[int, int], rows: int = 2) -> Views:
    views = Views(ModelCall(plan, plan.tiles, rows))
    views.grid.size = size
    return views


def test_merged_tokens_are_the_mean_on_the_canvas_and_splitting_hands_each_tile_its_part() -> None:
    plan = grid((16, 40)).plan(0)
    views = views_of(plan, (8, 8))
    tokens = torch.randn(len(plan.tiles) * 2, 3, 64, 5)
    merged = views.merge(tokens).unflatten(2, (8, 20))
    starts = [tile.x.window.start // 2 for tile in plan.tiles]
    each = tokens.reshape(len(starts), 2, 3, 8, 8, 5)
    for column in range(20):
        seen = [each[view, ..., column - start, :] for view, start in enumerate(starts) if 0 <= column - start < 8]
        torch.testing.assert_close(merged[..., column, :], torch.stack(seen).mean(0))
    parts = views.split(merged.flatten(2, 3)).reshape(len(starts), 2, 3, 8, 8, 5)
    for part, start in zip(parts, starts, strict=True):
        assert torch.equal(part, merged[..., start : start + 8, :])


@pytest.mark.parametrize("kind", list(UNETS))
@torch.no_grad()
def test_the_layers_of_tiles_that_agree_answer_as_on_the_whole_canvas(kind: str) -> None:
    """Tiles of one map of features, cut without changing it, get what attention on the whole map says."""
    make, _ = UNETS[kind]
    unet = make()
    part = MergedAttention([unet], until=1)
    plan = grid((16, 40)).plan(0)
    features = torch.randn(2, 16, 40, 8)
    tiles = torch.cat([features[:, :, tile.x.window.start : tile.x.window.stop] for tile in plan.tiles])
    before = {name: vars(module).get("forward") for name, module in unet.named_modules()}
    with part(ModelCall(plan, plan.tiles, 2)) as _:
        inside = [layer.module.forward for layer in part.of_picture]
        for layer, forward in zip(part.of_picture, inside, strict=True):
            if layer.module.to_q.in_features != 8:
                continue
            merged = run(layer, forward, tiles.flatten(1, 2), (16, 16))
            own = type(layer.module).forward(layer.module, features.flatten(1, 2)).unflatten(1, (16, 40))
            expected = torch.cat([own[:, :, tile.x.window.start : tile.x.window.stop] for tile in plan.tiles])
            torch.testing.assert_close(merged.unflatten(1, (16, 16)), expected, rtol=1e-4, atol=1e-5)
            break
        else:
            pytest.fail("no layer of 8 channels")
    assert before == {name: vars(module).get("forward") for name, module in unet.named_modules()}


def run(layer: Any, forward: Any, tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What a layer answers, its transformer having seen features of this height and width."""
    image = torch.zeros(len(tokens), tokens.shape[-1], *size)
    for hook in layer.transformer._forward_pre_hooks.values():
        hook(layer.transformer, (image,), {})
    answer: torch.Tensor = forward(tokens)
    return answer


def test_all_tiles_are_asked_about_in_one_call_whatever_the_setting_says() -> None:
    sizes = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return x

    method = grid((40, 90))
    TiledDenoiser(model, method, tile_batch=1)(torch.zeros(1, 4, 40, 90), torch.zeros(1))
    assert sizes == [len(method.plan(0).tiles)]


def test_a_call_about_some_tiles_is_refused() -> None:
    unet = UNETS["diffusers"][0]()
    plan = grid((16, 40)).plan(0)
    with (
        pytest.raises(SettingsError, match="shared among processes"),
        MergedAttention([unet], 1)(ModelCall(plan, plan.tiles[:1], 2)),
    ):
        pass


def test_tiles_know_of_each_other_in_the_first_half_and_not_after(pipeline: Any) -> None:
    """The last tile's prediction depends on the first tile's noise, four tiles away, until half of the evaluations."""
    from lib_instantas.hosts.diffusers import tiled_unet

    settings = parse_settings({"enabled": True, "method": "Merge-Attend-Diffuse", "overlap": 0.5})
    x = torch.randn(1, 4, 8, 40)
    other = x.clone()
    other[..., :4] += 1
    prompt = torch.randn(1, 7, pipeline.unet.config.cross_attention_dim)

    @torch.no_grad()
    def last_columns(canvas: torch.Tensor) -> list[torch.Tensor]:
        with tiled_unet(pipeline.unet, settings, steps=4):
            return [pipeline.unet(canvas, 500, prompt, return_dict=False)[0][..., -4:] for _ in range(4)]

    changed = [not torch.allclose(a, b, atol=1e-7) for a, b in zip(last_columns(x), last_columns(other), strict=True)]
    assert changed == [True, True, False, False]


def test_it_makes_a_picture_and_the_same_one_again(pipeline: Any) -> None:
    def made(method: str) -> torch.Tensor:
        settings = parse_settings({"enabled": True, "method": method, "tile": 64})
        seen: list[torch.Tensor] = []
        job = Job("a fox", (64, 256), settings, seed=1, steps=4, sampler="DDIM")
        Generator(pipeline)(job, on_step=lambda step, canvas: seen.append(canvas))
        return seen[-1]

    assert torch.equal(made("Merge-Attend-Diffuse"), made("Merge-Attend-Diffuse"))
    assert not torch.allclose(made("Merge-Attend-Diffuse"), made("MultiDiffusion"), atol=1e-3)
