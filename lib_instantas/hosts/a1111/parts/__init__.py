"""Things that take part in the sampling besides the tiles: hints cut per tile, regional prompts, whatever comes.

A part is made for one sampling pass by a factory in `FACTORIES` and dies with it. To add one, write the factory and
register it; nothing else has to know.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from lib_instantas.denoiser import ModelCall, Part
from lib_instantas.hosts.a1111.parts.seen import SeenThings
from lib_instantas.methods import Request
from lib_instantas.redilation import levels_of
from lib_instantas.regions import RegionSetup
from lib_instantas.settings import Settings
from lib_instantas.tiling import Size


@dataclass(frozen=True)
class SamplingPass:
    """One pass of one sampler: `canvas` and `native` side in latent pixels, `seeds` those of the batch's pictures.

    `steps` is how often the sampler is expected to ask, `per_step` how often in one step of its own, `unet` the model
    that is asked. A pass that `composes` makes the first of two stages, which is one picture without tiles. `setups`
    are the regions of each picture where their prompts differ, as wildcards make them do. `seen` is what two passes
    with a background prompt hand over; then each picture of the batch is asked about by itself.
    """

    p: Any
    settings: Settings
    canvas: Size
    native: int
    seeds: tuple[int, ...]
    steps: int = 1
    unet: Any = None
    composes: bool = False
    per_step: int = 1
    setups: tuple[RegionSetup, ...] = ()
    seen: SeenThings | None = None

    @property
    def is_hires_pass(self) -> bool:
        """Whether this is the second pass of hires fix."""
        return bool(getattr(self.p, "is_hr_pass", False))

    def request(self, seed: int) -> Request:
        """What a method is made for: this pass, and the picture with this seed."""
        settings = self.settings.copy(update={"method": "direct"}) if self.composes else self.settings
        levels = levels_of(self.unet)
        return Request(self.canvas, self.native, settings, seed, self.steps, self.per_step, levels)

    def is_continued_by(self, other: SamplingPass) -> bool:
        """Whether an evaluation of the other pass can go on with what was prepared for this one."""
        return self.unet is other.unet and (self.canvas, self.seeds) == (other.canvas, other.seeds)


class HostPart:
    """A `Part` of the denoiser that may see the host's own parameters before each evaluation of the sampler."""

    def before_evaluation(self, params: Any) -> None:
        """Look at, or change, the host's CFGDenoiserParams before the model is asked."""

    def of_picture(self, index: int) -> Part:
        """What is entered around calls that are about one picture of the batch, where each is asked about by itself."""
        return self

    def __call__(self, call: ModelCall) -> AbstractContextManager[Any]:
        """Entered around one call of the model; what it changes it restores on leaving."""
        return nullcontext()


Factory = Callable[[SamplingPass], "HostPart | None"]

FACTORIES: list[Factory] = []


def register_part(factory: Factory) -> Factory:
    """Have `factory` asked for a part at the beginning of each pass."""
    if factory not in FACTORIES:
        FACTORIES.append(factory)
    return factory


def parts_for(work: SamplingPass) -> list[HostPart]:
    """The parts that take part in a pass."""
    return [part for part in (factory(work) for factory in FACTORIES) if part is not None]
