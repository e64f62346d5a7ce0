"""Convolutions that reach further for a while, and are then as they were."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tiny_unets import unet_of_four_levels
from torch import nn

from lib_instantas.methods import same_factor
from lib_instantas.redilation import Dispersion, Redilation, convolutions_by_depth, redilated
from lib_instantas.settings import SettingsError

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
