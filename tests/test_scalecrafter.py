"""ScaleCrafter: the paper's tables, for how long convolutions reach further, and what becomes of a picture."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
import torch

from lib_instantas.hosts.diffusers import tiled_unet
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.methods import Dilation, Direct, Level, Redilated, Request, make_method, same_factor
from lib_instantas.settings import parse_settings


@pytest.mark.parametrize(("factor", "until"), [(1.5, 12), (2.5, 12), (4.0, 14)])
def test_the_layout_is_dilated_and_the_details_are_as_trained(factor: float, until: int) -> None:
    levels = [same_factor(factor, 1, 20).at(evaluation) for evaluation in range(25)]
    factors = [one.factor for (one,) in levels[:until]]
    assert factors[0] == factor
    assert all(one > 1 for one in factors)
    assert set(levels[until:]) == {()}
    assert all(a >= b for a, b in pairwise(factors))


BLOCKS = {
    4: ("DB0", "DB1", "DB2", "DB3", "MB", "UB0", "UB1", "UB2", "UB3"),
    3: ("DB1", "DB2", "DB3", "MB", "UB0", "UB1", "UB2"),
}
"""Figure 9's names, for SD 1.5 and for SDXL, which has a level less."""


def by_block(dilation: Dilation, levels: int) -> dict[str, Level]:
    """The settings of each block that has any, under the paper's names."""
    names, deepest = BLOCKS[levels], levels - 1
    return {
        name: dilation.levels[depth]
        for i, name in enumerate(names)
        if (depth := max(0, abs(i - levels) - 1)) < len(dilation.levels) and depth <= deepest
    }


@pytest.mark.parametrize(
    ("native", "size", "redilated_blocks", "dispersed_blocks", "damped_blocks", "tau", "progressive"),
    [
        (64, (128, 128), {"DB3": 2, "MB": 2, "UB0": 2}, set(), set(), 30, False),
        (64, (160, 160), {"DB3": 2.5, "MB": 2.5, "UB0": 2.5}, set(), set(), 30, False),
        (64, (128, 256), dict.fromkeys(BLOCKS[4], 2), set(), {"DB0", "DB1", "DB2", "UB1", "UB2", "UB3"}, 30, False),
        (64, (256, 256), {"DB0": 2, "DB1": 4, "UB2": 4, "UB3": 2}, {"DB2", "DB3", "MB", "UB0", "UB1"},
         {"DB0", "DB1", "UB2", "UB3"}, 35, True),
        (128, (256, 256), {"DB3": 2, "MB": 2, "UB0": 2}, set(), set(), 30, False),
        (128, (320, 320), {"DB1": 2, "DB2": 2, "DB3": 2.5, "MB": 2.5, "UB0": 2.5, "UB1": 2, "UB2": 2}, set(),
         {"DB1", "DB2", "UB1", "UB2"}, 30, False),
        (128, (256, 512), dict.fromkeys(BLOCKS[3], 2), set(), {"DB1", "DB2", "UB1", "UB2"}, 30, False),
        (128, (512, 512), {"DB2": 2, "UB1": 2}, {"DB3", "MB", "UB0"}, {"DB2", "UB1"}, 35, True),
    ],
    ids=[f"table {number}" for number in range(6, 14)],
)  # fmt: skip
def test_the_papers_tables(
    native: int,
    size: Any,
    redilated_blocks: dict[str, float],
    dispersed_blocks: set[str],
    damped_blocks: set[str],
    tau: int,
    progressive: bool,
) -> None:
    """Block by block from the paper's appendix; a dispersed block's scale is 2 on top of its kernels' 2."""
    method = make_method(Request(size, native, parse_settings({"method": "ScaleCrafter"}), steps=50))
    assert isinstance(method, Redilated)
    blocks = by_block(method.dilation, 4 if native == 64 else 3)
    assert {name: level.factor for name, level in blocks.items() if not level.dispersed} == redilated_blocks
    assert {name for name, level in blocks.items() if level.dispersed} == dispersed_blocks
    assert {level.factor for level in blocks.values() if level.dispersed} <= {4}
    assert {name for name, level in blocks.items() if level.damped} == damped_blocks
    assert (method.dilation.until, method.dilation.shrinks) == (tau, progressive)


@pytest.mark.parametrize(("size", "factor"), [((96, 96), 1.5), ((192, 192), 3.0), ((144, 200), 2.25)])
def test_between_the_tables_the_nearest_is_brought_to_the_pictures_size(size: Any, factor: float) -> None:
    method = make_method(Request(size, 64, parse_settings({"method": "ScaleCrafter"})))
    assert isinstance(method, Redilated)
    assert method.dilation.levels == (Level(factor),)


@pytest.mark.parametrize(
    ("size", "settings", "factor"),
    [((128, 128), {}, 2.0), ((96, 256), {}, 1.5), ((128, 128), {"dilation": 3}, 3.0), ((2048, 2048), {}, 8.0)],
)
def test_the_factor_is_the_shorter_sides_or_the_settings(size: Any, settings: dict[str, Any], factor: float) -> None:
    method = make_method(Request(size, 64, parse_settings({"method": "ScaleCrafter", **settings})))
    assert isinstance(method, Redilated)
    assert method.dilation.factor == factor


def test_a_panorama_as_high_as_the_model_knows_is_left_to_the_model() -> None:
    method = make_method(Request((64, 256), 64, parse_settings({"method": "ScaleCrafter"})))
    assert method == Direct((64, 256))


def made(pipeline: Any, size: tuple[int, int] = (128, 128), **settings: Any) -> tuple[torch.Tensor, str]:
    seen: list[torch.Tensor] = []
    job = Job("a fox", size, parse_settings({"enabled": True, **settings}), seed=1, steps=5, sampler="DDIM")
    result = Generator(pipeline)(job, on_step=lambda step, canvas: seen.append(canvas))
    return seen[-1], result.infotext


def test_it_changes_the_picture_and_says_so(pipeline: Any) -> None:
    (far, infotext), (again, _), (plain, _) = (
        made(pipeline, method=method) for method in ("ScaleCrafter", "ScaleCrafter", "direct")
    )
    assert torch.equal(far, again)
    assert not torch.allclose(far, plain, atol=1e-3)
    assert "1 tile of 128x128, 5 UNet evaluations, dilation 2 in the first 3" in infotext


def test_where_there_is_nothing_to_do_it_does_nothing_and_says_so(pipeline: Any) -> None:
    (far, infotext), (plain, _) = (made(pipeline, (64, 128), method=method) for method in ("ScaleCrafter", "direct"))
    assert torch.equal(far, plain)
    assert "off: the image's shorter side is not longer than the model's own" in infotext


def test_far_beyond_the_models_size_regions_and_noise_damping_go_together(pipeline: Any) -> None:
    """The rows that are asked about again are those without the prompt, with the regions' negative prompts."""
    region = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a dog"}
    far = {"method": "ScaleCrafter", "dilation": 4}
    (plain, infotext), (regional, _) = made(pipeline, **far), made(pipeline, **far, regions=json.dumps([region]))
    assert "dilation 4 in the first 4, each half as long again (noise-damped)" in infotext
    assert not torch.allclose(plain, regional, atol=1e-3)
    assert torch.isfinite(regional).all()


def test_only_the_first_evaluations_differ(pipeline: Any) -> None:
    settings = parse_settings({"enabled": True, "method": "ScaleCrafter"})
    x, prompts = torch.randn(2, 4, 16, 16), torch.randn(2, 20, 12)
    with torch.no_grad():
        plain = pipeline.unet(x, 500, prompts).sample
        with tiled_unet(pipeline.unet, settings, steps=5):
            found = [pipeline.unet(x, 500, prompts).sample for _ in range(5)]
        after = pipeline.unet(x, 500, prompts).sample
    assert [torch.equal(one, plain) for one in [*found, after]] == [False] * 3 + [True] * 3
