"""Pictures of any size from a diffusers pipeline, without a WebUI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from lib_instantas.denoiser import Around
from lib_instantas.hosts.diffusers import tiled_unet
from lib_instantas.hosts.diffusers_regions import prompts_for
from lib_instantas.hosts.diffusers_style import aligned_noise
from lib_instantas.hosts.elastic import denoiser_for
from lib_instantas.hosts.synchronising import Features, Synchroniser, style_statistics
from lib_instantas.infotext import KEY, quoted, to_text
from lib_instantas.methods import NEEDS, Request, make_method
from lib_instantas.regions import RegionSetup
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.sizes import canvas_for, central_crop
from lib_instantas.summary import summarise, why_off
from lib_instantas.tiling import LATENT_SCALE, Size

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DDIM": ("DDIMScheduler", {}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "LCM": ("LCMScheduler", {}),
}
"""The WebUI's names for samplers, each as a diffusers scheduler and its options."""


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


@dataclass(frozen=True)
class Result:
    """A picture and its infotext in the WebUI's form."""

    image: Image
    infotext: str


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

    def __call__(
        self,
        job: Job,
        on_step: Callable[[int, torch.Tensor], None] = lambda step, latents: None,
        before_batch: Callable[[], None] = lambda: None,
    ) -> Result:
        """Make one picture; `on_step(step, latents)` is called after each step of the sampler.

        Raises SettingsError for an unknown sampler, and for settings that do not go together.
        """
        self._use_sampler(job.sampler)
        canvas = canvas_for(job.size)
        setup = job.settings.region_setup if job.settings.enabled else RegionSetup()
        if setup.active and job.settings.method in NEEDS:
            raise SettingsError(f"regions must be empty with the method {job.settings.method}")
        prompts = prompts_for(self.pipeline, setup, job.prompt, job.negative_prompt)
        with self._tiled(job, before_batch, prompts.around):
            decoded = self._run(job, canvas, prompts.arguments, on_step)
        return Result(decoded.crop(central_crop((decoded.height, decoded.width), job.size)), self._infotext(job))

    def _tiled(
        self, job: Job, before_batch: Callable[[], None], around: Sequence[Around]
    ) -> AbstractContextManager[None]:
        if not job.settings.enabled:
            return nullcontext()
        return tiled_unet(
            self.pipeline.unet,
            job.settings,
            seed=job.seed,
            steps=job.steps,
            around=(*self.around, *around),
            before_batch=before_batch,
            make_denoiser=denoiser_for(self.pipeline, job.settings.method, job.seed),
        )

    def _run(
        self, job: Job, canvas: Size, prompts: dict[str, Any], on_step: Callable[[int, torch.Tensor], None]
    ) -> Image:
        def after_step(pipeline: Any, step: int, timestep: Any, state: dict[str, Any]) -> dict[str, Any]:
            on_step(step + 1, state["latents"])
            return state if synchronise is None else synchronise(step, state)

        synchronise = self._synchroniser(job)
        generator = torch.Generator("cpu").manual_seed(job.seed)
        return self.pipeline(
            **prompts,
            latents=self._aligned_noise(job, generator),
            height=canvas[0] * LATENT_SCALE,
            width=canvas[1] * LATENT_SCALE,
            num_inference_steps=job.steps,
            guidance_scale=job.guidance,
            generator=generator,
            callback_on_step_end=after_step,
            callback_on_step_end_tensor_inputs=["latents"] if synchronise is None else ["latents", "prompt_embeds"],
        ).images[0]

    def _synchroniser(self, job: Job) -> Callable[[int, dict[str, Any]], dict[str, Any]] | None:
        if not job.settings.enabled or job.settings.method != "SyncDiffusion":
            return None
        plan = make_method(self._request(job)).plan(0)
        unet = self.pipeline.unet
        synchroniser = Synchroniser(self.pipeline, partial(type(unet).forward, unet), plan, job.guidance, self.features)

        def synchronise(step: int, state: dict[str, Any]) -> dict[str, Any]:
            return {**state, "latents": synchroniser(state["latents"], state["prompt_embeds"], step)}

        return synchronise

    def _request(self, job: Job) -> Request:
        return Request(canvas_for(job.size), self.native, job.settings, job.seed, job.steps)

    def _aligned_noise(self, job: Job, generator: torch.Generator) -> torch.Tensor | None:
        if not job.settings.enabled:
            return None
        return aligned_noise(self.pipeline, self._request(job), generator)

    def _use_sampler(self, name: str) -> None:
        import diffusers

        if name not in SAMPLERS:
            raise SettingsError(f"sampler must be one of {', '.join(SAMPLERS)}, got {name!r}")
        scheduler, options = SAMPLERS[name]
        config = self.pipeline.scheduler.config
        self.pipeline.scheduler = getattr(diffusers, scheduler).from_config(config, **options)

    def _infotext(self, job: Job) -> str:
        parameters = {
            "Steps": job.steps,
            "Sampler": job.sampler,
            "CFG scale": job.guidance,
            "Seed": job.seed,
            "Size": f"{job.size[1]}x{job.size[0]}",
            KEY: self.done(job),
        }
        lines = [job.prompt, *([f"Negative prompt: {job.negative_prompt}"] if job.negative_prompt else [])]
        return "\n".join([*lines, ", ".join(f"{key}: {quoted(value)}" for key, value in parameters.items())])

    def done(self, job: Job) -> str:
        """The infotext value that says what the engine does for this job, or why nothing."""
        if not job.settings.enabled:
            return to_text(job.settings, "off")
        summary = summarise(self._request(job))
        return to_text(job.settings, str(summary) if summary.does_something else why_off(job.settings.method))
