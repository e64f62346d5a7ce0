"""The runs of the sampler that make one picture with a diffusers pipeline, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Union

import torch

from lib_instantas.denoiser import Part, TiledDenoiser
from lib_instantas.hosts.diffusers import Held, as_predicted, tiled_unet
from lib_instantas.hosts.diffusers_background import StagePrompts
from lib_instantas.hosts.diffusers_fidelity import HeldToPicture
from lib_instantas.hosts.diffusers_lora import Lora
from lib_instantas.hosts.diffusers_regions import encoder
from lib_instantas.hosts.diffusers_style import aligned_noise
from lib_instantas.hosts.diffusers_vae import Coder, decoding, encoding
from lib_instantas.hosts.elastic import Elastic
from lib_instantas.hosts.enlarging import enlarged_latents, enlarged_picture
from lib_instantas.hosts.jobs import Stage
from lib_instantas.hosts.keeping import LatentKeeper
from lib_instantas.hosts.samplers import evaluations_of, evaluations_per_step, use_sampler
from lib_instantas.hosts.swapping import ReferenceSwap
from lib_instantas.hosts.synchronising import Features, Synchroniser
from lib_instantas.hosts.upscaling_phases import Phase
from lib_instantas.methods import DisplacedGrid, InterleavedGrid, make_method
from lib_instantas.processes import ALONE, Processes
from lib_instantas.tiling import LATENT_SCALE

if TYPE_CHECKING:
    from PIL.Image import Image

OnStep = Callable[[int, torch.Tensor], None]
Change = LatentKeeper | Elastic | ReferenceSwap | Phase
"""What changes the canvas after a step, besides the sampler."""
Picture = Union["Image", torch.Tensor]
"""A decoded picture, or its latents [1, C, h, w]."""


@dataclass(frozen=True)
class Watcher:
    """Who looks on while a picture is made.

    `on_step(evaluation, latents)` is called after each evaluation, counted over all stages; `before_batch` before each
    model call and VAE tile, and may raise to stop.
    """

    on_step: OnStep = lambda step, latents: None
    before_batch: Callable[[], None] = lambda: None

    def later(self, evaluations: int) -> Watcher:
        """The same after so many evaluations."""
        return replace(self, on_step=lambda step, latents: self.on_step(evaluations + step, latents))

    def vae_tile(self, done: int, total: int) -> None:
        """The autoencoder is between two tiles."""
        self.before_batch()


@dataclass(frozen=True)
class StageLoras:
    """The LoRA of the stage that composes, and that of the tiles after it."""

    composing: Lora | None = None
    tiles: Lora | None = None

    def of(self, stage: Stage, before: Picture | None) -> Lora | None:
        """That of a stage, which follows on `before`, if it has one. A picture that is one stage has none."""
        if stage.composes:
            return self.composing
        return None if before is None else self.tiles


class Stages:
    """The stages of one picture, one call each: they share the prompts and the source of randomness.

    `processes` are those that all make this picture and divide its tiles.
    """

    def __init__(
        self,
        pipeline: Any,
        prompts: StagePrompts,
        generator: torch.Generator,
        parts: Sequence[Part],
        features: Features,
        loras: StageLoras,
        processes: Processes = ALONE,
    ) -> None:
        self.pipeline = pipeline
        self.prompts = prompts
        self.parts = tuple(parts)
        self.features = features
        self.loras = loras
        self.processes = processes
        self.generator = generator
        self._about_vae: dict[str, None] = {}

    @property
    def about(self) -> str:
        """In words what the autoencoder did, and where the background prompt stands."""
        return ", ".join([*self.prompts.about, *self._about_vae])

    def __call__(self, stage: Stage, before: Picture | None, watcher: Watcher, as_latents: bool = False) -> Any:
        """The decoded canvas of a stage, or its latents; `before` is what the stage before it has made, if any."""
        use_sampler(self.pipeline, stage.job.sampler, stage.steps)
        with ExitStack() as stack:
            if (lora := self.loras.of(stage, before)) is not None:
                stack.enter_context(lora.on(self.pipeline.unet))
            changes, synchroniser = self._between_steps(stage, before), self._synchroniser(stage)
            maker = synchroniser or next((one for one in changes if not isinstance(one, LatentKeeper)), None)
            prompts, held = self.prompts.of(stage, follows=before is not None), self._held(stage, before, stack)
            make_denoiser = maker.make_denoiser if maker else TiledDenoiser
            stack.enter_context(self._tiled(stage, watcher, make_denoiser, prompts.parts, held))
            coders = [stack.enter_context(encoding(self.pipeline.vae, stage.settings, watcher.vae_tile))]
            pipeline, arguments = self._beginning(stage, before, changes)
            if synchroniser is not None and before is None:
                arguments["latents"] = self._synchronised(synchroniser, stage, arguments["latents"])
            made = pipeline(
                **prompts.arguments,
                **arguments,
                guidance_scale=stage.guidance,
                generator=self.generator,
                output_type="latent" if as_latents else "pil",
                callback_on_step_end=self._after_step(stage, watcher, stack, coders, changes, synchroniser),
                callback_on_step_end_tensor_inputs=["latents", *self._more_inputs(stage)],
            ).images
        self._about_vae |= dict.fromkeys(coder.done for coder in coders if coder is not None and coder.done)
        return made if as_latents else made[0]

    def _beginning(self, stage: Stage, before: Picture | None, changes: Sequence[Change]) -> tuple[Any, dict[str, Any]]:
        """The pipeline that makes a stage, and what it begins with: noise, or what came before it, enlarged."""
        pipeline = self.pipeline
        height, width = (side * LATENT_SCALE for side in stage.canvas)
        phase = next((one for one in changes if isinstance(one, Phase)), None)
        if phase is not None:
            latents = phase.beginning(stage.steps)
            return pipeline, {"latents": latents, "height": height, "width": width, "num_inference_steps": stage.steps}
        if before is None:
            request = stage.request(native_of(pipeline))
            noise = aligned_noise(pipeline, request, self.generator) if self._on(stage) else None
            return pipeline, {"latents": noise, "height": height, "width": width, "num_inference_steps": stage.steps}
        name, closed = stage.settings.compose_upscaler, stage.settings.wraps_per_axis
        image: Picture
        if isinstance(before, torch.Tensor):
            image = enlarged_latents(before, stage.canvas, name, closed)
        else:
            image = enlarged_picture(before, (height, width), name, closed)
        # diffusers rounds down to whole steps: half of one more is for safety.
        strength = min(1.0, (stage.made + 0.5) / stage.steps)
        return going_on(pipeline), {"image": image, "strength": strength, "num_inference_steps": stage.steps}

    def _tiled(
        self,
        stage: Stage,
        watcher: Watcher,
        make_denoiser: Callable[..., TiledDenoiser],
        of_prompts: Sequence[Part],
        held: Held,
    ) -> AbstractContextManager[None]:
        if not self._on(stage):
            return nullcontext()
        pipeline = self.pipeline
        return tiled_unet(
            pipeline.unet,
            stage.settings,
            seed=stage.job.seed,
            steps=stage.evaluations,
            per_step=evaluations_per_step(stage.job.sampler),
            guidance=stage.guidance,
            parts=(*self.parts, *of_prompts),
            before_batch=watcher.before_batch,
            make_denoiser=make_denoiser,
            processes=self.processes,
            held=held,
        )

    def _held(self, stage: Stage, before: Picture | None, stack: ExitStack) -> Held:
        """What holds a stage to the picture before it, where it is to be held."""
        if before is None or stage.phase or not self._on(stage) or not stage.settings.fidelity:
            return as_predicted
        return stack.enter_context(HeldToPicture(self.pipeline, stage.settings).taking())

    def _between_steps(self, stage: Stage, before: Picture | None) -> list[Change]:
        """What changes the canvas after a step, besides the sampler."""
        if not self._on(stage):
            return []
        method = make_method(stage.request(native_of(self.pipeline)))
        if isinstance(method, DisplacedGrid) and method.keeps_latents:
            return [LatentKeeper(self.pipeline, method)]
        if stage.settings.method == "ElasticDiffusion":
            return [Elastic(self.pipeline, stage.job.seed, stage.guidance, stage.evaluations)]
        if stage.phase > 1 and isinstance(before, torch.Tensor):
            seed = stage.job.seed
            return [Phase(self.pipeline, before, stage.canvas, stage.phase, seed, stage.evaluations)]
        if isinstance(method, InterleavedGrid) and method.guided:
            job = stage.job
            return [ReferenceSwap(self.pipeline, method, job.seed, stage.guidance, stage.steps, stage.evaluations)]
        return []

    def _after_step(
        self,
        stage: Stage,
        watcher: Watcher,
        stack: ExitStack,
        coders: list[Coder | None],
        changes: list[Change],
        synchroniser: Synchroniser | None,
    ) -> Callable[..., dict[str, Any]]:
        vae = self.pipeline.vae
        left_out = evaluations_of(stage.job.sampler, stage.steps) - stage.evaluations

        def after_step(pipeline: Any, step: int, timestep: Any, state: dict[str, Any]) -> dict[str, Any]:
            for change in changes:
                state = {**state, "latents": change(state["latents"], step)}
            watcher.on_step(step + 1, state["latents"])
            if synchroniser is not None:
                moved = synchroniser(state["latents"], state["prompt_embeds"], left_out + step + 1)
                state = {**state, "latents": moved}
            if step + 1 == stage.evaluations:  # what comes next is the decoding
                coders.append(stack.enter_context(decoding(vae, stage.settings, watcher.vae_tile, self.processes)))
            return state

        return after_step

    def _synchroniser(self, stage: Stage) -> Synchroniser | None:
        if not self._synchronises(stage):
            return None
        plan = make_method(stage.request(native_of(self.pipeline))).plan(0)
        pipeline, unet = self.pipeline, self.pipeline.unet
        return Synchroniser(pipeline, partial(type(unet).forward, unet), plan, stage.guidance, self.features)

    @torch.no_grad()
    def _synchronised(self, synchroniser: Synchroniser, stage: Stage, noise: torch.Tensor | None) -> torch.Tensor:
        """The noise that the first evaluation sees, before the pipeline scales it."""
        pipeline = self.pipeline
        if noise is None:
            shape = 1, int(pipeline.unet.config.in_channels), *stage.canvas
            noise = torch.randn(shape, generator=self.generator).to(pipeline.unet.device, pipeline.unet.dtype)
        positive, negative, *_ = encoder(pipeline)(stage.job.prompt, stage.job.negative_prompt)
        prompts = torch.cat([negative, positive]) if stage.guidance > 1 else positive
        sigma = pipeline.scheduler.init_noise_sigma
        return synchroniser(noise * sigma, prompts, 0) / sigma

    def _more_inputs(self, stage: Stage) -> list[str]:
        return ["prompt_embeds"] if self._synchronises(stage) else []

    def _synchronises(self, stage: Stage) -> bool:
        return self._on(stage) and stage.settings.method == "SyncDiffusion"

    def _on(self, stage: Stage) -> bool:
        return stage.settings.enabled


def can_go_on(pipeline: Any) -> bool:
    """Whether diffusers has a pipeline of the same model that goes on from a picture."""
    try:
        going_on(pipeline)
    except (TypeError, ValueError):
        return False
    return True


def going_on(pipeline: Any) -> Any:
    """The pipeline of the same parts that goes on from a picture. Raises ValueError where there is none."""
    from diffusers import AutoPipelineForImage2Image

    made = AutoPipelineForImage2Image.from_pipe(pipeline)
    made.set_progress_bar_config(disable=True)
    return made


def native_of(pipeline: Any) -> int:
    """Side of the tile that a pipeline's model knows, latent pixels."""
    return int(pipeline.unet.config.sample_size)
