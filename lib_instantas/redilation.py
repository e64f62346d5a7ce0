"""Re-dilation: on a canvas larger than what the model knows, its convolutions reach as far as they did in training.

ScaleCrafter (He et al. 2024): a UNet repeats its subject on a large canvas because its convolutions see too little of
it. Their kernels are spread by the canvas's size over the model's own, without training: dilated (section 3.2, eq. 1),
by a fraction where need be (eq. 2), and for far larger canvases first dispersed to larger kernels (section 3.3, eq. 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lib_instantas.denoiser import ModelCall
from lib_instantas.errors import SettingsError
from lib_instantas.methods import Dilation
from lib_instantas.replacing import replaced
from lib_instantas.texts import messages

KERNEL = 3
PIXEL_CALIBRATION = 0.05
"""Weight of a dispersed kernel's likeness to the original on the original feature map (eta of eq. 4)."""


class Redilation:
    """A part of TiledDenoiser (`parts`): the UNet's convolutions reach further, as long and as far as `dilation` says.

    The outer levels estimate the noise, and dilated, leave it in the picture. So they are dilated only where that is
    damped (`noise_damping`), and not while `denoises` is set. Raises SettingsError if the UNet has no more levels than
    are to be dilated.
    """

    def __init__(self, unet: Any, dilation: Dilation) -> None:
        levels = convolutions_by_depth(unet)
        last = dilation.levels[-1]
        if len(dilation.levels) > len(levels) - (not last.damped):
            raise SettingsError(messages.LEVELS(most=len(levels) - 1, value=len(dilation.levels)))
        self.levels = levels[: len(dilation.levels)]
        self.dilation = dilation
        self.denoises = False
        self._dispersion = Dispersion()

    def __call__(self, call: ModelCall) -> AbstractContextManager[None]:
        """Entered around one call of the UNet."""
        return self._reaching(call.evaluation)

    @contextmanager
    def _reaching(self, evaluation: int) -> Iterator[None]:
        with ExitStack() as levels:
            for convolutions, level in zip(self.levels, self.dilation.at(evaluation), strict=False):
                if self.denoises and level.damped:
                    continue
                # A dispersed kernel reaches twice as far: where that is all that is asked for, dilation does it.
                dispersion = self._dispersion if level.dispersed and level.factor > 2 else None
                levels.enter_context(redilated(convolutions, level.factor, dispersion))
            yield

    def damps(self, evaluation: int) -> bool:
        """Whether an evaluation, counted from 0, dilates levels that estimate the noise."""
        return not self.denoises and any(level.damped for level in self.dilation.at(evaluation))

    def denoising(self) -> AbstractContextManager[None]:
        """While open, damped levels are as they were trained."""
        return replaced(self, "denoises", True)


class Dispersion:
    """The map that makes larger kernels of small ones, kept on the devices where it is used.

    The larger kernels themselves are not kept: they would take nearly three times the weights' memory, and a host may
    change the weights within `forward` (LoRA, weights stored in fp8). Making one anew is a small part of using it.
    """

    def __init__(self) -> None:
        self._maps: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def __call__(self, weight: Tensor) -> Tensor:
        """Kernels [out, in, 3, 3] as kernels [out, in, 5, 5] that do on a map of twice the size what they did."""
        kind = weight.device, weight.dtype
        if kind not in self._maps:
            self._maps[kind] = dispersion().to(weight)
        return (weight.flatten(2) @ self._maps[kind].T).unflatten(2, (2 * KERNEL - 1,) * 2)


@contextmanager
def redilated(convolutions: Sequence[nn.Conv2d], factor: float, dispersion: Dispersion | None = None) -> Iterator[None]:
    """While open, these convolutions of 3x3 reach `factor` times as far. On leaving they are as they were.

    With a `dispersion` (for factors of 2 and more) by larger kernels first, and dilated for what is left.
    """
    if factor <= 1:
        yield
        return
    with ExitStack() as stack:
        for convolution in convolutions:
            far = partial(far_convolution, convolution, factor, dispersion)
            if type(convolution).forward is nn.Conv2d.forward:
                # Below `forward`, so that what others do there (LoRA, casts of weights) goes on.
                stack.enter_context(replaced(convolution, "_conv_forward", far))
            else:
                inside = _Within(convolution.forward, far)
                stack.enter_context(replaced(convolution, "forward", inside))
        yield


class _Within:
    """A `forward` of a class that keeps its weights elsewhere (Forge): what it convolves with, it convolves far."""

    def __init__(self, forward: Callable[[Tensor], Tensor], far: Callable[..., Tensor]) -> None:
        self._forward = forward
        self._far = far

    def __call__(self, features: Tensor) -> Tensor:
        with _FarInstead(partial(self._far, features)):
            return self._forward(features)


class _FarInstead(TorchFunctionMode):
    """While open, `conv2d(features, weight, bias, ...)` is answered by `far(weight, bias)`."""

    def __init__(self, far: Callable[[Tensor, Tensor | None], Tensor]) -> None:
        super().__init__()
        self._far = far

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.conv2d:
            return self._far(*args[1:3])  # the mode is off in here
        return function(*args, **(kwargs or {}))


def far_convolution(
    convolution: nn.Conv2d,
    factor: float,
    dispersion: Dispersion | None,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
) -> Tensor:
    """The convolution of features [B, C, H, W] with its kernel spread by a factor, same shape as without."""
    if dispersion is not None:
        weight, factor = dispersion(weight), factor / 2
    dilation = math.ceil(factor)
    stretch = dilation / factor
    size = [math.ceil(length / convolution.stride[0]) for length in features.shape[-2:]]
    if stretch > 1:
        features = _resized(features, [round(length * stretch) for length in features.shape[-2:]])
    reach = dilation * (weight.shape[-1] // 2)
    if convolution.padding_mode == "circular":
        features, padding = F.pad(features, (reach,) * 4, mode="circular"), 0
    else:
        padding = reach
    result = F.conv2d(features, weight, bias, convolution.stride, padding, dilation, convolution.groups)
    return _resized(result, size) if stretch > 1 else result


def _resized(features: Tensor, size: list[int]) -> Tensor:
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def dispersion(side: int = 12) -> Tensor:
    """The linear map [25, 9] from a kernel of 3x3 to one of 5x5 that solves eq. 4 on a ring of side x side pixels.

    Structure: convolving the enlarged map with the new kernel is enlarging the convolved map. Pixels: the new kernel
    does on the map itself what the old one does. Both are linear in the map, so their operators are compared.
    """
    old, new = _offsets(KERNEL), _offsets(2 * KERNEL - 1)
    enlarge = _enlarged(torch.eye(side * side, dtype=torch.float64).view(-1, side, side))
    unchanged = torch.eye(side * side, dtype=torch.float64).view(-1, side, side)
    structure = _rolled(enlarge, new), torch.stack([_enlarged(one) for one in _views(unchanged, old)]).flatten(1)
    pixels = _rolled(unchanged, new), _rolled(unchanged, old)
    left = structure[0] @ structure[0].T + PIXEL_CALIBRATION * pixels[0] @ pixels[0].T
    right = structure[0] @ structure[1].T + PIXEL_CALIBRATION * pixels[0] @ pixels[1].T
    return torch.linalg.solve(left, right).float()


def _offsets(kernel: int) -> list[tuple[int, int]]:
    half = kernel // 2
    return [(y, x) for y in range(-half, half + 1) for x in range(-half, half + 1)]


def _views(maps: Tensor, offsets: list[tuple[int, int]]) -> list[Tensor]:
    """What each entry of a kernel sees of maps [N, h, w] that are closed to rings."""
    return [torch.roll(maps, (-y, -x), (1, 2)) for y, x in offsets]


def _rolled(maps: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
    """The same, one flat row for each entry."""
    return torch.stack(_views(maps, offsets)).flatten(1)


def _enlarged(maps: Tensor) -> Tensor:
    """Maps [N, h, w] at twice the size, on a ring."""
    padded = F.pad(maps[:, None], (1, 1, 1, 1), mode="circular")
    size = [2 * length for length in padded.shape[-2:]]
    return F.interpolate(padded, size=size, mode="bilinear", align_corners=False)[:, 0, 2:-2, 2:-2]


def levels_of(unet: Any) -> int | None:
    """How many resolutions a UNet works at; None for a model of another kind."""
    if hasattr(unet, "input_blocks"):
        return 1 + sum(_shrinks(block) for block in unet.input_blocks)
    return len(unet.down_blocks) if hasattr(unet, "down_blocks") else None


def convolutions_by_depth(unet: Any) -> list[list[nn.Conv2d]]:
    """The 3x3 convolutions of a UNet's blocks in ldm's, sgm's or diffusers' layout, the deepest level first.

    Those that enlarge, and the first and the last of the UNet, are left out (table 5). Raises SettingsError for a
    model of another kind.
    """
    if hasattr(unet, "input_blocks"):
        levels = _ldm_levels(unet)
    elif hasattr(unet, "down_blocks"):
        levels = _diffusers_levels(unet)
    else:
        raise SettingsError(messages.NO_UNET())
    return [[convolution for block in blocks for convolution in _of_kernel(block)] for blocks in reversed(levels)]


def _diffusers_levels(unet: Any) -> list[list[nn.Module]]:
    levels: list[list[nn.Module]] = [[block] for block in unet.down_blocks]
    levels[-1].append(unet.mid_block)
    for level, block in zip(reversed(levels), unet.up_blocks, strict=True):
        level.append(block.resnets)
    return levels


def _ldm_levels(unet: Any) -> list[list[nn.Module]]:
    levels: list[list[nn.Module]] = [[]]
    for block in list(unet.input_blocks)[1:]:
        levels[-1].append(block)
        if _shrinks(block):
            levels.append([])
    levels[-1].append(unet.middle_block)
    depth = len(levels) - 1
    for block in unet.output_blocks:
        growing = [layer for layer in block if type(layer).__name__ == "Upsample"]
        levels[depth].extend(layer for layer in block if layer not in growing)
        depth -= len(growing)
    return levels


def _shrinks(block: Any) -> bool:
    return any(type(layer).__name__ == "Downsample" for layer in block)


def _of_kernel(block: nn.Module) -> list[nn.Conv2d]:
    found = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    return [convolution for convolution in found if convolution.kernel_size == (KERNEL, KERNEL)]
