"""Forge, reForge and Forge Classic: samplers that ask a UNet through its patcher.

At each evaluation the host reads the options of a patcher (`forge_objects.unet`); one of them is a function that the
model is asked through. For a pass, a clone of the patcher with such a function stands in its place. The clone shares
the weights, and the host takes its own patcher again for the next pass.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from modules import shared
from torch import Tensor

from lib_instantas.hosts.a1111.generation import generation_of
from lib_instantas.hosts.a1111.native import native_side
from lib_instantas.hosts.a1111.patched_controls import PatchedControls
from lib_instantas.hosts.a1111.sampling import TiledSampling
from lib_instantas.methods import Redilated, Request, make_method
from lib_instantas.settings import SettingsError
from lib_instantas.texts import messages

WRAPPER = "model_function_wrapper"
MEMORY = "memory_peak_estimation_modifier"

SAMPLERS = ("backend.sampling.sampling_function", "ldm_patched.modules.samplers")
"""The modules that ask the model on the hosts of this family."""


class AskedInTiles:
    """What the model is asked through for the length of a pass, and the patcher that says so."""

    def __init__(self, original: Any) -> None:
        self.original = original
        self.patcher = original.clone()
        self.patcher.controlnet_linked_list = None  # asked about tiles in `_answer`, not about the canvas
        self.patcher.model_options[WRAPPER] = self
        self._controls = PatchedControls(original.list_controlnets())
        self._inner = original.model_options.get(WRAPPER)
        self._sampling: TiledSampling | None = None
        self._batch = 1
        self.error: Exception | None = None

    def __deepcopy__(self, memo: Any) -> AskedInTiles:
        """Each clone of a patcher copies its options deeply."""
        return self

    @property
    def replaces_cross_attention(self) -> bool:
        """Whether another extension has the attention to the prompt computed by functions of its own."""
        options = self.original.model_options.get("transformer_options", {})
        return bool(options.get("patches_replace", {}).get("attn2"))

    def begin(self, sampling: TiledSampling, params: Any) -> None:
        """The next evaluation begins."""
        self._sampling = sampling
        self._batch = params.x.shape[0]

    def __call__(self, apply_model: Callable[..., Tensor], asked: dict[str, Any]) -> Tensor:
        """The prediction for the whole canvas."""
        if self.error is not None or self._sampling is None:
            raise self.error or AssertionError("asked before there were tiles")
        x, c, kinds = asked["input"], dict(asked["c"]), asked["cond_or_uncond"]
        pictures = list(range(self._batch)) * (len(x) // self._batch)
        model = partial(self._answer, apply_model, options := c.pop("transformer_options", {}), kinds)
        layers = self._controls.on_canvas(x, pictures)
        if scales := self._sampling.damped_scales:
            rows = [scale if kind else None for kind in kinds for scale in scales]
            again = partial(self._answer, apply_model, options, [kind for kind in kinds if kind])
            return self._sampling.ask_damped(model, again, rows, pictures, x, asked["timestep"], **c, **layers)
        return self._sampling.ask(model, pictures, x, asked["timestep"], **c, **layers)

    def _answer(
        self,
        apply_model: Callable[..., Tensor],
        options: dict[str, Any],
        kinds: list[int],
        x: Tensor,
        sigma: Tensor,
        **c: Any,
    ) -> Tensor:
        """The prediction for some tiles, each asked about with these kinds of conditions."""
        pictures = self._batch if self._sampling is None or len(self._sampling.denoisers) == 1 else 1
        rows = Rows(kinds, pictures, tiles=len(x) // (len(kinds) * pictures))
        layers = self._controls.taken_from(c)
        c["transformer_options"] = rows.options(options, sigma)
        c |= self._controls.answer(layers, x, sigma, c, len(rows.kinds))
        if self._inner is None:
            return apply_model(x, sigma, **c)
        return self._inner(apply_model, {"input": x, "timestep": sigma, "c": c, "cond_or_uncond": rows.kinds})


class Rows:
    """The rows of one call: tile by tile, in one kind by kind (0 conditional, 1 not), in a kind picture by picture."""

    def __init__(self, kinds_per_tile: list[int], pictures: int, tiles: int) -> None:
        self.kinds = list(kinds_per_tile) * tiles
        self._pictures = pictures
        self._tiles = tiles
        self._step = len(kinds_per_tile) * pictures

    def options(self, given: dict[str, Any], sigma: Tensor) -> dict[str, Any]:
        """The host's `transformer_options`, with what it counts by rows counted anew."""
        of_rows = [kind for kind in self.kinds for _ in range(self._pictures)]
        counted: dict[str, Any] = {"cond_or_uncond": list(self.kinds), "sigmas": sigma[: self._pictures]}
        counted["cond_indices"] = [row for row, kind in enumerate(of_rows) if kind == 0]
        counted["uncond_indices"] = [row for row, kind in enumerate(of_rows) if kind != 0]
        if "uuids" in given:
            counted["uuids"] = given["uuids"] * self._tiles
        if "cond_mark" in given:
            counted["cond_mark"] = given["cond_mark"][:: len(given["cond_mark"]) // self._step].repeat(self._tiles)
        return {**given, **{name: value for name, value in counted.items() if name in given}}


class PatchedSamplers:
    """The six answers for hosts whose samplers read a patcher of the UNet."""

    def missing(self) -> Iterator[str]:
        """The function among the patcher's options that the model is asked through."""
        module = next((name for name in SAMPLERS if find_spec(name.partition(".")[0])), None)
        if module is None or WRAPPER not in inspect.getsource(import_module(module)):
            yield "a sampler that asks the model through its patcher (forge_objects.unet)"

    def before_pass(self, p: Any, noise: Tensor) -> None:
        """Let the host make room for a tile, where it would make room for the canvas."""
        generation = generation_of(p)
        if generation is None:
            return
        canvas = int(noise.shape[-2]), int(noise.shape[-1])
        method = make_method(Request(canvas, native_side(shared.sd_model), generation.settings))
        largest = max(tile.size[0] * tile.size[1] for tile in method.plan(0).tiles)
        if isinstance(method, Redilated):
            return
        objects = p.sd_model.forge_objects
        objects.unet = objects.unet.clone()
        estimate = objects.unet.model_options.get(MEMORY, objects.unet.memory_required)
        at_once = max(1, generation.settings.tile_batch)
        objects.unet.model_options[MEMORY] = partial(_estimated_for_tiles, estimate, largest * at_once)

    def ask_through(self, sampling: TiledSampling, params: Any) -> None:
        """The next evaluation goes through the tiles.

        Raises SettingsError for regions, or a background prompt, where something else has put itself in the place of
        the layers they act on.
        """
        asked = _standing_in(params)
        work = sampling.work
        by_place = {"regions": bool(work.settings.region_setup.active), "compose_background": work.seen is not None}
        for name, acts in by_place.items():
            if acts and asked.replaces_cross_attention:
                raise SettingsError(messages.PROMPT_ADAPTER(name=name))
        asked.begin(sampling, params)

    def kept_by_timestep(self, params: Any) -> Tensor | None:
        """None: through the patcher every model answers with the picture."""
        return None

    def fail(self, params: Any, error: Exception) -> None:
        """The function that the model is asked through raises."""
        _standing_in(params).error = error

    def let_go(self) -> None:
        """The host's own patcher takes its place again."""
        objects = getattr(shared.sd_model, "forge_objects", None)
        if objects is None:
            return
        asked = objects.unet.model_options.get(WRAPPER)
        if isinstance(asked, AskedInTiles):
            objects.unet = asked.original

    def control_models(self) -> list[Any]:
        """Of the controls that hang on the patcher."""
        patcher = shared.sd_model.forge_objects.unet
        asked = patcher.model_options.get(WRAPPER)
        own = asked.original if isinstance(asked, AskedInTiles) else patcher
        return [getattr(control, "control_model", None) for control in own.list_controlnets()]

    @property
    def unet(self) -> Any:
        """Of the model that is loaded now, which may be the refiner."""
        return shared.sd_model.forge_objects.unet.model.diffusion_model

    @property
    def autoencoder(self) -> Any:
        """Of the model that is loaded now."""
        objects = getattr(shared.sd_model, "forge_objects", None)
        return None if objects is None else objects.vae.first_stage_model


def _standing_in(params: Any) -> AskedInTiles:
    """What stands in for the patcher that is in use now; put there where there is none yet."""
    objects = params.denoiser.inner_model.inner_model.forge_objects
    asked = objects.unet.model_options.get(WRAPPER)
    if not isinstance(asked, AskedInTiles):
        asked = AskedInTiles(objects.unet)
        objects.unet = asked.patcher
    return asked


def _estimated_for_tiles(estimate: Callable[[list[int]], float], pixels: int, shape: list[int]) -> float:
    """The memory for as many rows [B, C, H, W] of tiles of so many latent pixels; never more than for the canvas."""
    rows, channels, height, width = shape
    return estimate([rows, channels, 1, min(pixels, height * width)])


FAMILY = PatchedSamplers()
