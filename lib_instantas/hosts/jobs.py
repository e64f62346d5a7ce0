"""A picture to make, and the runs of the sampler that make it: one, or two where it is composed first."""

from __future__ import annotations

from dataclasses import dataclass

from lib_instantas.composition import first_size, schedule_steps, second_steps
from lib_instantas.hosts.samplers import check_sampler, evaluations_of, evaluations_per_step
from lib_instantas.methods import Request, phases
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.sizes import canvas_for, check_size
from lib_instantas.tiling import LATENT_SCALE, Size


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
    def composes(self) -> bool:
        """Whether it is to be composed first, if it is large enough for that."""
        return self.settings.enabled and self.settings.compose


@dataclass(frozen=True)
class Stage:
    """One run of the sampler: the last `made` of the `steps` of its schedule, on a picture of `size` image pixels.

    One that `composes` makes the first of two stages, which is one picture without tiles. `phase` counts the phases of
    DemoFusion from 1; other stages have none.
    """

    job: Job
    size: Size
    settings: Settings
    guidance: float
    steps: int
    made: int
    composes: bool = False
    phase: int = 0

    @property
    def canvas(self) -> Size:
        """(height, width) in latent pixels."""
        return canvas_for(self.size)

    @property
    def evaluations(self) -> int:
        """How often the sampler asks the model."""
        return evaluations_of(self.job.sampler, self.made)

    def request(self, native: int, levels: int | None = None) -> Request:
        """What the stage's method is made for; `native` is the tile side that the model knows, latent pixels.

        `levels` is how many resolutions its UNet works at, where that matters.
        """
        per_step = evaluations_per_step(self.job.sampler)
        return Request(self.canvas, native, self.settings, self.job.seed, self.evaluations, per_step, levels)


def stages_of(job: Job, native: int) -> tuple[Stage, ...]:
    """The runs that make a picture with a model of this native side: the last one has the picture's own size."""
    if job.settings.enabled and job.settings.method == "DemoFusion":
        return _phases_of(job, native)
    first = first_size(job.size, native) if job.composes else None
    if first is None:
        return (Stage(job, job.size, job.settings, job.guidance, job.steps, job.steps),)
    strength = job.settings.compose_strength
    made = second_steps(job.steps, strength)
    guidance = job.settings.compose_guidance or job.guidance
    whole = job.settings.copy(update={"method": "direct"})
    return (
        Stage(job, first, whole, job.guidance, job.steps, job.steps, composes=True),
        Stage(job, job.size, job.settings, guidance, schedule_steps(made, strength), made),
    )


def _phases_of(job: Job, native: int) -> tuple[Stage, ...]:
    """The phases of DemoFusion: the first is one picture of the size that the model knows."""
    *smaller, _ = phases(canvas_for(job.size), job.settings.native_side(native))
    sizes = [*((LATENT_SCALE * height, LATENT_SCALE * width) for height, width in smaller), job.size]
    whole = job.settings.copy(update={"method": "direct"})
    return tuple(
        Stage(job, size, job.settings if number else whole, job.guidance, job.steps, job.steps, phase=number + 1)
        for number, size in enumerate(sizes)
    )


def check_job(job: Job) -> None:
    """Raises SettingsError for what no model could do, naming it."""
    check_size(job.size)
    check_sampler(job.sampler)
    if job.steps < 1:
        raise SettingsError(f"steps must be at least 1, got {job.steps}")
    if not 0 <= job.seed < 2**63:
        raise SettingsError(f"seed must be between 0 and {2**63 - 1}, got {job.seed}")
    if job.settings.enabled and job.settings.method == "ElasticDiffusion":
        _check_guidance(job)


def _check_guidance(job: Job) -> None:
    scales = {"guidance": job.guidance}
    if job.composes and job.settings.compose_guidance:
        scales["compose_guidance"] = job.settings.compose_guidance
    for name, scale in scales.items():
        if scale <= 1:
            raise SettingsError(
                f"{name} must be above 1 for ElasticDiffusion, which works on what the prompt changes, got {scale:g}"
            )
