"""Things that take part in the sampling besides the tiles: hints cut per tile, regional prompts, whatever comes.

A part is made for one sampling run by a factory in `FACTORIES` and dies with it. To add one, write the factory and
register it; nothing else has to know.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from lib_instantas.denoiser import ModelCall
from lib_instantas.settings import Settings
from lib_instantas.tiling import Size


@dataclass(frozen=True)
class Run:
    """One sampling run of one sampler: `canvas` in latent pixels, `denoiser` the host's CFGDenoiser.

    `seeds` are those of the pictures of the batch.
    """

    p: Any
    denoiser: Any
    settings: Settings
    canvas: Size
    native: int
    seeds: tuple[int, ...]

    @property
    def is_hires_pass(self) -> bool:
        """Whether this is the second pass of hires fix."""
        return bool(getattr(self.p, "is_hr_pass", False))


class Part:
    """What may happen at each evaluation of the sampler, and around each call of the model."""

    def before_evaluation(self, params: Any) -> None:
        """Look at, or change, the host's CFGDenoiserParams before the model is asked."""

    def around(self, call: ModelCall) -> AbstractContextManager[Any]:
        """Entered around one call of the model; what it changes it restores on leaving."""
        return nullcontext()


Factory = Callable[[Run], "Part | None"]

FACTORIES: list[Factory] = []


def register_part(factory: Factory) -> Factory:
    """Have `factory` asked for a part at the beginning of each run."""
    if factory not in FACTORIES:
        FACTORIES.append(factory)
    return factory


def parts_for(run: Run) -> list[Part]:
    """The parts that take part in a run."""
    return [part for part in (factory(run) for factory in FACTORIES) if part is not None]
