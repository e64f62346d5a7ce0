"""Test-only extension: watches the UNet and the host's objects, and says over HTTP what it saw."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import k_diffusion.external
import k_diffusion.sampling
import torch
from fastapi import Body, FastAPI
from modules import (
    devices,
    processing,
    prompt_parser,
    script_callbacks,
    scripts,
    sd_models,
    sd_samplers,
    sd_samplers_cfg_denoiser,
    sd_samplers_common,
    sd_samplers_kdiffusion,
    sd_samplers_timesteps,
    shared,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from known_shapes import teach_shapes_of
from open_clip_architecture import register_architecture

WATCHED_MODULES = (
    *(devices, processing, prompt_parser, script_callbacks, scripts, sd_models, sd_samplers, shared),
    *(sd_samplers_cfg_denoiser, sd_samplers_common, sd_samplers_kdiffusion, sd_samplers_timesteps),
    *(k_diffusion.external, k_diffusion.sampling, torch.nn.functional),
)


def unet() -> torch.nn.Module:
    """The network that is asked, wherever the host keeps it."""
    patched = getattr(shared.sd_model, "forge_objects", None)
    return (patched.unet.model if patched else shared.sd_model.model).diffusion_model


def networks() -> dict[str, torch.nn.Module]:
    """Everything of the loaded model that has layers, by a name of its own."""
    patched = getattr(shared.sd_model, "forge_objects", None)
    if patched is None:
        return {"model": shared.sd_model}
    return {"unet": patched.unet.model, "vae": patched.vae.first_stage_model, "clip": patched.clip.cond_stage_model}


class UNetWatch:
    """Notes the input size of each UNet call, and does something at one of them."""

    def __init__(self) -> None:
        self.sizes: list[list[int]] = []
        self.at = 0
        self.action = ""
        self.handle: Any = None
        self.hints: list[list[float]] = []
        self.told: list[list[int]] = []
        torch.nn.modules.module.register_module_forward_pre_hook(self._note_hint)

    def _note_hint(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        """The first pixel's red and green, and the height and width, of each hint a T2I adapter is given."""
        if type(module).__name__ == "Adapter":
            self.hints += [[float(row[0, 0, 0]), float(row[1, 0, 0]), *row.shape[-2:]] for row in inputs[0]]

    def start(self, at: int, action: str) -> None:
        self.stop()
        self.sizes, self.hints, self.told, self.at, self.action = [], [], [], at, action
        self.handle = unet().register_forward_pre_hook(self, with_kwargs=True)

    def stop(self) -> None:
        if self.handle is not None:
            self.handle.remove()
            self.handle = None

    def __call__(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], named: dict[str, Any]) -> None:
        self.sizes.append(list(inputs[0].shape))
        if isinstance(named.get("y"), torch.Tensor) and named["y"].shape[-1] > 6 * 256:
            self.told += [sizes_in(row) for row in named["y"]]
        if len(self.sizes) != self.at:
            return
        if self.action == "raise":
            raise RuntimeError("the UNet failed on purpose")
        if self.action == "interrupt":
            shared.state.interrupt()
        if self.action == "skip":
            shared.state.skip()
        if self.action == "stop":
            shared.state.stop_generating()


def sizes_in(vector: torch.Tensor) -> list[int]:
    """The six numbers that SDXL is told, each read from its 256 sines and cosines: the nearest of 0, 8, 16 ... 4096."""
    candidates = torch.arange(0, 4097, 8, dtype=torch.float32)
    angles = candidates[:, None] * 10_000 ** (-torch.arange(128, dtype=torch.float32) / 128)
    table = torch.cat([angles.cos(), angles.sin()], 1)
    numbers = vector[-6 * 256 :].float().cpu().reshape(6, 256)
    return [int(candidates[index]) for index in torch.cdist(numbers, table).argmin(1)]


watch = UNetWatch()
remembered: dict[str, Any] = {}
remembered_prediction: list[torch.Tensor] = []


def host_attributes() -> dict[str, Any]:
    """Every attribute that an extension might replace: of modules, of their classes, of the model's layers."""
    found: dict[str, Any] = {}
    for module in WATCHED_MODULES:
        for name, value in vars(module).items():
            found[f"{module.__name__}.{name}"] = value
            if isinstance(value, type):
                found |= {f"{module.__name__}.{name}.{key}": item for key, item in vars(value).items()}
    for kind in (torch.Tensor, torch.nn.Module, torch.nn.Linear, torch.nn.Conv2d, torch.nn.GroupNorm):
        found |= {f"{kind.__name__}.{key}": item for key, item in vars(kind).items()}
    for part, network in networks().items():
        for path, layer in network.named_modules(prefix=part):
            for name, value in vars(layer).items():
                found[f"{path}.{name}"] = value
                if isinstance(value, dict) and name.startswith("_"):
                    found |= {f"{path}.{name}[{key}]": item for key, item in value.items()}
    return found


def begin(at: int = Body(0), action: str = Body("")) -> None:
    """Start watching the UNet."""
    watch.start(at, action)


def seen() -> list[list[int]]:
    """The input sizes of the UNet calls since `begin`."""
    watch.stop()
    return watch.sizes


def keep_prediction(params: Any) -> None:
    remembered_prediction[:] = [params.x.float().cpu()]


def predicted() -> list[Any]:
    """The clean latents [B, 4, H, W] that the sampler was told last, guidance included."""
    return list(remembered_prediction[0].tolist())


def hints() -> list[list[float]]:
    """The hints of the adapter calls since `begin`."""
    watch.stop()
    return watch.hints


def told() -> list[list[int]]:
    """The sizes that each row of the UNet calls since `begin` was told."""
    watch.stop()
    return watch.told


def remember() -> None:
    """Keep every watched attribute."""
    remembered.clear()
    remembered.update(host_attributes())


def changed() -> list[str]:
    """Names of attributes that are other objects than when they were remembered."""
    now = host_attributes()
    names = remembered.keys() | now.keys()
    return sorted(name for name in names if now.get(name, remembered) is not remembered.get(name, now))


def leftovers() -> dict[str, int]:
    """Objects of the extension's sampling that are still alive."""
    gc.collect()
    kinds = ("TiledSampling", "TiledDenoiser")
    return {kind: sum(type(item).__name__ == kind for item in gc.get_objects()) for kind in kinds}


def add_routes(_: Any, app: FastAPI) -> None:
    for path, endpoint in (("begin", begin), ("remember", remember)):
        app.add_api_route(f"/test/{path}", endpoint, methods=["POST"])
    for path, endpoint in (
        ("seen", seen),
        ("hints", hints),
        ("told", told),
        ("changed", changed),
        ("leftovers", leftovers),
        ("predicted", predicted),
    ):
        app.add_api_route(f"/test/{path}", endpoint, methods=["GET"])


register_architecture()
if shared.cmd_opts.ckpt_dir:
    teach_shapes_of(Path(shared.cmd_opts.ckpt_dir))
script_callbacks.on_app_started(add_routes)
script_callbacks.on_cfg_after_cfg(keep_prediction)
