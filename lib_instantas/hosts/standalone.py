"""Pictures of any size from a diffusers pipeline, without a WebUI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_instantas.agreement import Offer, check, without_effect
from lib_instantas.attention_layers import has_cross_attention
from lib_instantas.capabilities import ALL, Capability
from lib_instantas.denoiser import Part
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.diffusers_background import StagePrompts, positions_of_thing
from lib_instantas.hosts.diffusers_lora import Lora, read_lora
from lib_instantas.hosts.diffusers_vae import is_known
from lib_instantas.hosts.enlarging import check_upscaler, enlarges_latents, finished
from lib_instantas.hosts.jobs import Job, Stage, check_job, stages_of
from lib_instantas.hosts.samplers import SAMPLERS, use_sampler
from lib_instantas.hosts.staging import OnStep, Picture, StageLoras, Stages, Watcher, can_go_on, native_of
from lib_instantas.hosts.synchronising import Features, style_statistics
from lib_instantas.infotext import KEY, quoted, to_text
from lib_instantas.panorama import XMP_KEY, is_sphere, sphere_xmp
from lib_instantas.processes import ALONE, Processes
from lib_instantas.redilation import levels_of
from lib_instantas.summary import done_by, regions_done

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SAMPLERS", "Generator", "Job", "Result", "check_job"]

PASSES = ("first pass", "second pass")
NOTHING_TO_COMPOSE = "compose has no effect on a picture of about the model's own area"
NOTHING_TO_HOLD = "fidelity has no effect without a first stage"


@dataclass(frozen=True)
class Result:
    """A picture and its infotext in the WebUI's form."""

    image: Image
    infotext: str


@dataclass
class Generator:
    """A diffusers text-to-image pipeline that makes pictures of any size.

    `parts` take part in every UNet call, such as regional attention; `features` says what
    SyncDiffusion takes for alike; `processes` all make the same pictures and divide their tiles.
    """

    pipeline: Any
    parts: Sequence[Part] = field(default_factory=tuple)
    features: Features = style_statistics
    processes: Processes = ALONE

    @property
    def native(self) -> int:
        """Side of the tile that the model knows, latent pixels."""
        return native_of(self.pipeline)

    @property
    def offer(self) -> Offer:
        """What can be done with this pipeline."""
        lacking = {
            Capability.KNOWN_VAE: not is_known(self.pipeline.vae),
            Capability.REGIONS: not has_cross_attention(self.pipeline.unet),
            Capability.ATTENTION: not has_cross_attention(self.pipeline.unet),
            Capability.CONVOLUTIONS: not hasattr(self.pipeline.unet, "down_blocks"),
            Capability.SIZES: self.pipeline.unet.config.addition_embed_type != "text_time",
            Capability.GIVEN_PICTURE: True,
            Capability.TWO_STAGES: not can_go_on(self.pipeline),
        }
        return ALL - {capability for capability, is_lacking in lacking.items() if is_lacking}

    def check(self, job: Job) -> None:
        """Raises SettingsError, before anything is painted, for a job that cannot be done."""
        check_job(job)
        check(job.settings, self.offer)
        if job.settings.enabled and job.settings.method == "SyncDiffusion" and Capability.SIZES in self.offer:
            raise SettingsError("method must be another with SDXL, which is told sizes, got 'SyncDiffusion'")
        if job.composes:
            check_upscaler(job.settings.compose_upscaler)
            self.loras(job)
        stages = self.stages(job)
        if job.composes and job.settings.compose_background and len(stages) > 1:
            positions_of_thing(self.pipeline, job)
        for stage in stages:
            use_sampler(self.pipeline, job.sampler, stage.steps)

    def loras(self, job: Job) -> StageLoras:
        """The LoRAs of the two stages. Raises SettingsError where one cannot be read or used."""
        return StageLoras(self._lora(job, "compose_lora"), self._lora(job, "compose_tiles_lora"))

    def _lora(self, job: Job, setting: str) -> Lora | None:
        name = getattr(job.settings, setting)
        return read_lora(Path(name).expanduser(), self.pipeline.unet, setting) if job.composes and name else None

    def stages(self, job: Job) -> tuple[Stage, ...]:
        """The runs of the sampler that make the picture."""
        return stages_of(job, self.native)

    def evaluations(self, job: Job) -> int:
        """How often the model is asked, all stages together."""
        return sum(stage.evaluations for stage in self.stages(job))

    def __call__(
        self,
        job: Job,
        on_step: OnStep = lambda step, latents: None,
        before_batch: Callable[[], None] = lambda: None,
    ) -> Result:
        """Make one picture; `on_step(evaluation, latents)` is called after each of its `evaluations`.

        Raises SettingsError for a job that cannot be done; `before_batch`, called before each model call and VAE tile,
        may raise to stop.
        """
        self.check(job)
        prompts = StagePrompts(self.pipeline, job)
        generator = torch.Generator("cpu").manual_seed(job.seed)
        run = Stages(self.pipeline, prompts, generator, self.parts, self.features, self.loras(job), self.processes)
        watcher = Watcher(on_step, before_batch)
        *before, last = self.stages(job)
        picture: Picture | None = None
        for stage in before:
            as_latents = stage.phase > 0 or enlarges_latents(job.settings.compose_upscaler)
            picture = run(stage, picture, watcher, as_latents)
            watcher = watcher.later(stage.evaluations)
        image = run(last, picture, watcher)
        closed = job.settings.wraps_per_axis if job.settings.enabled else (False, False)
        image = finished(image, job.size, closed)
        if is_sphere(job.size, closed):
            image.info[XMP_KEY] = sphere_xmp(job.size)
        return Result(image, self._infotext(job, run.about))

    def _infotext(self, job: Job, about: str) -> str:
        parameters = {
            "Steps": job.steps,
            "Sampler": job.sampler,
            "CFG scale": job.guidance,
            "Seed": job.seed,
            "Size": f"{job.size[1]}x{job.size[0]}",
            KEY: to_text(job.settings, self.done(job, about)),
        }
        lines = [job.prompt, *([f"Negative prompt: {job.negative_prompt}"] if job.negative_prompt else [])]
        return "\n".join([*lines, ", ".join(f"{key}: {quoted(value)}" for key, value in parameters.items())])

    def done(self, job: Job, about: str = "") -> str:
        """In words what the engine does for this job, or why nothing, and which settings do nothing."""
        if not job.settings.enabled:
            return "off"
        regions = regions_done(job.settings.region_setup)
        levels = levels_of(self.pipeline.unet)
        stages = [done_by(stage.request(self.native, levels), stage.guidance > 1) for stage in self.stages(job)]
        if len(stages) > 1:
            names = PASSES if job.composes else [f"phase {number + 1}" for number in range(len(stages))]
            stages = ["; ".join(f"{name}: {done}" for name, done in zip(names, stages, strict=True))]
        elif job.composes:
            regions.append(NOTHING_TO_COMPOSE)
        if job.settings.fidelity and not (job.composes and len(self.stages(job)) > 1):
            regions.append(NOTHING_TO_HOLD)
        parts = [*stages, *regions, about, *without_effect(job.settings)]
        return ", ".join(part for part in parts if part)
