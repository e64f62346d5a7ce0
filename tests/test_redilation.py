"""ScaleCrafter: convolutions that reach further, for a while, and are then as they were."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from tiny_pipelines import sd_pipeline
from torch import nn

from lib_instantas.hosts.diffusers import tiled_unet
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.methods import Dilation, Direct, Level, Redilated, Request, make_method, same_factor
from lib_instantas.redilation import Dispersion, Redilation, convolutions_by_depth, redilated
from lib_instantas.settings import SettingsError, parse_settings

STEEP = torch.tensor([[0.0, 0, 0], [-1, 0, 1], [0, 0, 0]])
"""How much a map rises from the left neighbour to the right one."""


def convolution(stride: int = 1, padding_mode: str = "zeros", channels: int = 2) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, channels, 3, stride, padding=1, padding_mode=padding_mode)


class KeepsItsWeightsElsewhere(nn.Conv2d):
    """As the convolutions of Forge: what `forward` convolves with is brought there, and no own method is asked."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super()._conv_forward(x, self.weight * 1, self.bias)


def features(height: int = 16, width: int = 24, channels: int = 2) -> torch.Tensor:
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(1))


def steepness(slope: float, factor: float) -> torch.Tensor:
    """What STEEP finds on a plane, far from its borders."""
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    layer.weight.data[0, 0] = STEEP
    plane = slope * torch.arange(48.0).expand(1, 1, 48, 48)
    with redilated([layer], factor), torch.no_grad():
        found: torch.Tensor = layer(plane)
    return found[0, 0, 16:32, 16:32]


@torch.no_grad()
def test_twice_as_far_is_the_same_on_every_second_pixel() -> None:
    layer, x = convolution(), features()
    with redilated([layer], 2):
        far = layer(x)
    for y in range(2):
        for column in range(2):
            assert torch.allclose(far[..., y::2, column::2], layer(x[..., y::2, column::2]), atol=1e-6)


@pytest.mark.parametrize("factor", [1.25, 1.5, 2, 2.5, 3, 4, 8])
def test_a_kernel_sees_a_plane_rise_as_much_as_it_reaches(factor: float) -> None:
    assert torch.allclose(steepness(1.0, factor), torch.full((16, 16), 2.0 * factor), rtol=0.03)


@pytest.mark.parametrize("factor", [1.0, 1.5, 2, 3, 4.5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
def test_shapes_stay_and_a_ring_stays_a_ring(factor: float, stride: int, padding_mode: str) -> None:
    layer, x = convolution(stride, padding_mode), features(15, 24)
    with redilated([layer], factor), torch.no_grad():
        result, rolled = layer(x), layer(torch.roll(x, 12, 3))
    assert result.shape == layer(x).shape
    whole = factor in (1.0, 2)
    if padding_mode == "circular" and whole:
        assert torch.allclose(torch.roll(result, 12 // stride, 3), rolled, atol=1e-5)


def test_dispersed_kernels_are_the_best_of_equation_4() -> None:
    """No other linear map from kernels of 3x3 to kernels of 5x5 does better on maps that it was not made with."""

    def enlarged(maps: torch.Tensor) -> torch.Tensor:
        padded = F.pad(maps, (1, 1, 1, 1), mode="circular")
        return F.interpolate(padded, scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]

    def convolved(maps: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(maps, (kernels.shape[-1] // 2,) * 4, mode="circular"), kernels[:, None])

    def loss(kernels: torch.Tensor) -> float:
        structure = convolved(enlarged(maps), kernels) - enlarged(convolved(maps, small).flatten(0, 1)[:, None]).view(
            len(maps), len(small), 64, 64
        )
        pixels = convolved(maps, kernels) - convolved(maps, small)
        return float(structure.square().sum() + 0.05 * pixels.square().sum())

    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(200, 1, 32, 32, generator=generator)
    small = torch.randn(3, 3, 3, generator=generator)
    best = Dispersion()(small[:, None])[:, 0]
    others = [best + 0.05 * torch.randn(best.shape, generator=generator) for _ in range(5)]
    dilated = torch.zeros(3, 5, 5)
    dilated[:, ::2, ::2] = small
    assert loss(best) < min(map(loss, [*others, dilated, 0.97 * best, 1.03 * best]))


def test_a_kernel_of_one_pixel_stays_one() -> None:
    one = torch.zeros(1, 1, 3, 3)
    one[..., 1, 1] = 1
    assert torch.allclose(Dispersion()(one), F.pad(one, (1, 1, 1, 1)), atol=1e-6)


def test_convolutions_are_as_they_were_after_an_error() -> None:
    layer, x = convolution(), features()
    before = layer(x)
    with pytest.raises(RuntimeError), redilated([layer], 2):
        raise RuntimeError
    assert "_conv_forward" not in vars(layer)
    assert torch.equal(layer(x), before)


def test_what_others_did_to_a_convolution_goes_on() -> None:
    layer, x = convolution(), features()

    class Doubled:
        """Weights that somebody changes on the way, as LoRA does."""

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return layer._conv_forward(x, 2 * layer.weight, layer.bias)

    layer.forward = Doubled()  # type: ignore[method-assign]
    with redilated([layer], 2):
        far = layer(x)
    twice = F.conv2d(x, 2 * layer.weight, layer.bias, padding=2, dilation=2)
    assert torch.allclose(far, twice)


# The UNet's levels


def unet_of_four_levels() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(4, 4, 8, 8),
        norm_num_groups=2,
        cross_attention_dim=12,
        attention_head_dim=2,
        layers_per_block=2,
    )


def test_levels_are_those_of_the_papers_table_5() -> None:
    unet = unet_of_four_levels()
    names = {id(module): name for name, module in unet.named_modules()}
    deepest = {names[id(one)] for one in convolutions_by_depth(unet)[0]}
    blocks = {"down_blocks.3": 2, "mid_block": 2, "up_blocks.0": 3}
    expected = {f"{block}.resnets.{i}.conv{j}" for block, count in blocks.items() for i in range(count) for j in (1, 2)}
    assert deepest == expected
    every = [one for level in convolutions_by_depth(unet) for one in level]
    of_kernel = {name for name, one in unet.named_modules() if isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3)}
    left_out = of_kernel - {names[id(one)] for one in every}
    assert left_out == {"conv_in", "conv_out", *(f"up_blocks.{i}.upsamplers.0.conv" for i in range(3))}
    assert len({id(one) for one in every}) == len(every)


def test_a_model_with_fewer_levels_is_told_of_by_name() -> None:
    unet = unet_of_four_levels()
    with pytest.raises(SettingsError, match="dilated_levels must be between 0 and 3 with this model, got 4"):
        Redilation(unet, same_factor(2, 4, 20))
    with pytest.raises(SettingsError, match="not a UNet"):
        Redilation(nn.Linear(2, 2), same_factor(2, 1, 20))


# When


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


# In a pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sd_pipeline(tmp_path_factory.mktemp("tokenizer"))


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


@torch.no_grad()
@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0])
def test_a_convolution_that_brings_its_own_weights_reaches_as_far(factor: float, padding_mode: str) -> None:
    usual = convolution(padding_mode=padding_mode)
    own = KeepsItsWeightsElsewhere(2, 2, 3, padding=1, padding_mode=padding_mode)
    own.load_state_dict(usual.state_dict())
    with redilated([usual, own], factor):
        assert torch.equal(own(features()), usual(features()))
    assert torch.equal(own(features()), usual(features()))
    assert "forward" not in vars(own)
