"""A LoRA on the UNet of a diffusers pipeline for as long as a `with` lasts: no weight is touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib_instantas.lora_names import names_of
from lib_instantas.settings import SettingsError

SHOWN = 3


@dataclass(frozen=True)
class LowRank:
    """What a LoRA adds to one layer: `scale * up(down(x))`."""

    down: Tensor
    up: Tensor
    scale: float

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        """As a forward hook of the layer."""
        x = inputs[0]
        if isinstance(layer, nn.Conv2d):
            low = F.conv2d(x, self.down, None, layer.stride, layer.padding, layer.dilation)
            return output + self.scale * F.conv2d(low, self.up)
        return output + self.scale * F.linear(F.linear(x, self.down), self.up)


@dataclass(frozen=True)
class Lora:
    """A LoRA file: what it adds to which layer, by the layer's path in the UNet."""

    name: str
    layers: dict[str, LowRank]

    @contextmanager
    def on(self, unet: nn.Module) -> Iterator[None]:
        """Inside, the UNet has the LoRA."""
        with ExitStack() as stack:
            for path, layer in self.layers.items():
                handle = unet.get_submodule(path).register_forward_hook(layer)
                stack.callback(handle.remove)
            yield


def read_lora(file: Path, unet: Any, setting: str) -> Lora:
    """The LoRA of a safetensors file with kohya's names, on the UNet's device; `setting` is the one that names it.

    Raises SettingsError where the file cannot be read, or holds anything but low-rank layers of this UNet.
    """
    from safetensors.torch import load_file

    try:
        weights = load_file(file)
    except Exception as reason:
        raise SettingsError(f"{setting} must be a LoRA as a safetensors file, got {str(file)!r}: {reason}") from None
    paths = {name: path for path in _layers(unet) for name in names_of(path, unet.config)}
    stems = {key.partition(".")[0] for key in weights}
    unknown = sorted(stems - paths.keys()) + sorted(stem for stem in stems & paths.keys() if not _whole(stem, weights))
    if unknown or not stems:
        shown = ", ".join(unknown[:SHOWN]) + (", ..." if len(unknown) > SHOWN else "")
        raise SettingsError(
            f"{setting} must hold low-rank layers of this model's UNet and nothing else, {file.name} holds "
            f"{shown or 'none'}"
        )
    layers = {paths[stem]: _low_rank(stem, weights, unet.get_submodule(paths[stem]), setting) for stem in stems}
    return Lora(file.stem, layers)


def _layers(unet: nn.Module) -> list[str]:
    return [path for path, module in unet.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]


def _whole(stem: str, weights: dict[str, Tensor]) -> bool:
    parts = {key.partition(".")[2] for key in weights if key.partition(".")[0] == stem}
    return {"lora_down.weight", "lora_up.weight"} <= parts <= {"lora_down.weight", "lora_up.weight", "alpha"}


def _low_rank(stem: str, weights: dict[str, Tensor], layer: Any, setting: str) -> LowRank:
    down, up = weights[f"{stem}.lora_down.weight"], weights[f"{stem}.lora_up.weight"]
    rank = down.shape[0]
    alpha = float(weights.get(f"{stem}.alpha", torch.tensor(rank)))
    if isinstance(layer, nn.Linear):
        down, up = down.flatten(1), up.flatten(1)
    elif down.ndim == 2:
        down, up = down[..., None, None], up[..., None, None]
    expected = (layer.weight.shape[1:], layer.weight.shape[0])
    if (down.shape[1:], up.shape[0]) != expected:
        raise SettingsError(f"{setting} must fit this model: {stem} is for a layer of another size")
    return LowRank(down.to(layer.weight), up.to(layer.weight), alpha / rank)
