"""Pictures of any size from a diffusers pipeline, without a WebUI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from lib_instantas.agreement import Offer, check, without_effect
from lib_instantas.attention import has_cross_attention
from lib_instantas.capabilities import ALL, Capability
from lib_instantas.denoiser import Around
from lib_instantas.hosts.diffusers import tiled_unet
from lib_instantas.hosts.diffusers_regions import prompts_for
from lib_instantas.hosts.diffusers_style import aligned_noise
from lib_instantas.hosts.diffusers_vae import Decoder, decoding, is_known
from lib_instantas.hosts.elastic import denoiser_for
from lib_instantas.hosts.samplers import SAMPLERS, check_sampler, evaluations_of, use_sampler
from lib_instantas.hosts.synchronising import Features, Synchroniser, style_statistics
from lib_instantas.infotext import KEY, quoted, to_text
from lib_instantas.methods import Request, make_method
from lib_instantas.regions import RegionSetup
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.sizes import canvas_for, central_crop, check_size
from lib_instantas.summary import done_by
from lib_instantas.tiling import LATENT_SCALE, Size

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SAMPLERS", "Generator", "Job", "Result"]

OnStep = Callable[[int, torch.Tensor], None]


@dataclass(frozen=True)
class Job:
    """A picture to make. `size` is (height, width) in image pixels, to the pixel."""

    prompt: str
    size: Size
    settings: Settings
    negative_prompt: str = ""
    seed: int = 0
    steps: int = 20
    guidance: float = 7.0
    sampler: str = "Euler a"

    @property
    def evaluations(self) -> int:
        """How often the sampler asks the model."""
        return evaluations_of(self.sampler, self.steps)


@dataclass(frozen=True)
class Result:
    """A picture and its infotext in the WebUI's form."""

    image: Image
    infotext: str


def check_job(job: Job) -> None:
    """Raises SettingsError for what no model could do, naming it."""
    check_size(job.size)
    check_sampler(job.sampler)
    if job.steps < 1:
        raise SettingsError(f"steps must be at least 1, got {job.steps}")
    if not 0 <= job.seed < 2**63:
        raise SettingsError(f"seed must be between 0 and {2**63 - 1}, got {job.seed}")
    if job.settings.enabled and job.settings.method == "ElasticDiffusion" and job.guidance <= 1:
        raise SettingsError(
            "guidance must be above 1 for ElasticDiffusion, which works on what the prompt changes, "
            f"got {job.guidance:g}"
        )


@dataclass
class Generator:
    """A diffusers text-to-image pipeline that makes pictures of any size.

    `around` are the parts that take part in every UNet call, such as regional attention; `features` says what
    SyncDiffusion takes for alike.
    """

    pipeline: Any
    around: Sequence[Around] = field(default_factory=tuple)
    features: Features = style_statistics

    @property
    def native(self) -> int:
        """Side of the tile that the model knows, latent pixels."""
        return int(self.pipeline.unet.config.sample_size)

    @property
    def offer(self) -> Offer:
        """What can be done with this pipeline."""
        lacking = {
            Capability.KNOWN_VAE: not is_known(self.pipeline.vae),
            Capability.REGIONS: not has_cross_attention(self.pipeline.unet),
            Capability.CONVOLUTIONS: not hasattr(self.pipeline.unet, "down_blocks"),
        }
        return ALL - {capability for capability, is_lacking in lacking.items() if is_lacking}

    def check(self, job: Job) -> None:
        """Raises SettingsError, before anything is painted, for a job that cannot be done."""
        check_job(job)
        check(job.settings, self.offer, job.size)

    def __call__(
        self,
        job: Job,
        on_step: OnStep = lambda step, latents: None,
        before_batch: Callable[[], None] = lambda: None,
    ) -> Result:
        """Make one picture; `on_step(evaluation, latents)` is called after each of `job.evaluations`.

        Raises SettingsError for a job that cannot be done; `before_batch`, called before each model call and VAE tile,
        may raise to stop.
        """
        self.check(job)
        use_sampler(self.pipeline, job.sampler, job.steps)
        setup = job.settings.region_setup if job.settings.enabled else RegionSetup()
        prompts = prompts_for(self.pipeline, setup, job.prompt, job.negative_prompt)
        with self._tiled(job, before_batch, prompts.around):
            decoded, about_vae = self._run(job, prompts.arguments, on_step, before_batch)
        image = decoded.crop(central_crop((decoded.height, decoded.width), job.size))
        return Result(image, self._infotext(job, about_vae))

    def _tiled(
        self, job: Job, before_batch: Callable[[], None], around: Sequence[Around]
    ) -> AbstractContextManager[None]:
        if not job.settings.enabled:
            return nullcontext()
        return tiled_unet(
            self.pipeline.unet,
            job.settings,
            seed=job.seed,
            steps=job.evaluations,
            around=(*self.around, *around),
            before_batch=before_batch,
            make_denoiser=denoiser_for(self.pipeline, job.settings.method, job.seed),
        )

    def _run(
        self, job: Job, prompts: dict[str, Any], on_step: OnStep, before_batch: Callable[[], None]
    ) -> tuple[Image, str]:
        """The decoded canvas, and in words what the autoencoder did."""
        decoder: Decoder | None = None

        def after_step(pipeline: Any, step: int, timestep: Any, state: dict[str, Any]) -> dict[str, Any]:
            nonlocal decoder
            on_step(step + 1, state["latents"])
            state = state if synchronise is None else synchronise(step, state)
            if step + 1 == len(pipeline.scheduler.timesteps):  # what comes next is the decoding
                decoder = stack.enter_context(decoding(pipeline.vae, job.settings, lambda done, total: before_batch()))
            return state

        synchronise = self._synchroniser(job)
        generator = torch.Generator("cpu").manual_seed(job.seed)
        height, width = (side * LATENT_SCALE for side in canvas_for(job.size))
        with ExitStack() as stack:
            image = self.pipeline(
                **prompts,
                latents=self._aligned_noise(job, generator),
                height=height,
                width=width,
                num_inference_steps=job.steps,
                guidance_scale=job.guidance,
                generator=generator,
                callback_on_step_end=after_step,
                callback_on_step_end_tensor_inputs=["latents"] + ([] if synchronise is None else ["prompt_embeds"]),
            ).images[0]
        return image, "" if decoder is None else decoder.done

    def _synchroniser(self, job: Job) -> Callable[[int, dict[str, Any]], dict[str, Any]] | None:
        if not job.settings.enabled or job.settings.method != "SyncDiffusion":
            return None
        plan = make_method(self.request(job)).plan(0)
        unet = self.pipeline.unet
        synchroniser = Synchroniser(self.pipeline, partial(type(unet).forward, unet), plan, job.guidance, self.features)

        def synchronise(step: int, state: dict[str, Any]) -> dict[str, Any]:
            return {**state, "latents": synchroniser(state["latents"], state["prompt_embeds"], step)}

        return synchronise

    def request(self, job: Job) -> Request:
        """What the job's method is made for."""
        return Request(canvas_for(job.size), self.native, job.settings, job.seed, job.evaluations)

    def _aligned_noise(self, job: Job, generator: torch.Generator) -> torch.Tensor | None:
        if not job.settings.enabled:
            return None
        return aligned_noise(self.pipeline, self.request(job), generator)

    def _infotext(self, job: Job, about_vae: str) -> str:
        parameters = {
            "Steps": job.steps,
            "Sampler": job.sampler,
            "CFG scale": job.guidance,
            "Seed": job.seed,
            "Size": f"{job.size[1]}x{job.size[0]}",
            KEY: to_text(job.settings, self.done(job, about_vae)),
        }
        lines = [job.prompt, *([f"Negative prompt: {job.negative_prompt}"] if job.negative_prompt else [])]
        return "\n".join([*lines, ", ".join(f"{key}: {quoted(value)}" for key, value in parameters.items())])

    def done(self, job: Job, about_vae: str = "") -> str:
        """In words what the engine does for this job, or why nothing, and which settings do nothing."""
        if not job.settings.enabled:
            return "off"
        count = len(job.settings.region_setup.active)
        regions = [f"{count} region{'s' * (count > 1)}"] if count else []
        parts = [done_by(self.request(job)), *regions, about_vae, *without_effect(job.settings)]
        return ", ".join(part for part in parts if part)
