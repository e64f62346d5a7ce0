"""What a method is, and the register of all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lib_instantas.capabilities import Capability
from lib_instantas.methods.options import NAMES, MethodOptions
from lib_instantas.options import Options
from lib_instantas.tiling import Size, TilePlan

SDXL_SIDE = 128
"""Latent pixels a side that SDXL knows."""


class Method(Protocol):
    """A way to make tile plans."""

    def plan(self, evaluation: int) -> TilePlan:
        """The tiles of one evaluation, counted from 0. The first plan leaves no pixel uncovered."""


@runtime_checkable
class Recurring(Method, Protocol):
    """A method that knows beforehand which plans have weights: these go to the device before the first evaluation."""

    @property
    def plans(self) -> tuple[TilePlan, ...]:
        """All of those, few."""


@dataclass(frozen=True)
class Request:
    """What a method is made for: canvas and native tile side in latent pixels, the picture's seed, the settings.

    `steps` is the number of evaluations the sampler is expected to make, `per_step` how many in one step of its own,
    `levels` how many resolutions the UNet works at, where that is known.
    """

    canvas: Size
    native: int
    settings: MethodOptions
    seed: int = 0
    steps: int = 20
    per_step: int = 1
    levels: int | None = None

    @property
    def levels_of_unet(self) -> int:
        """How many resolutions the UNet works at; taken to be SDXL's three where the model knows as much as SDXL."""
        return self.levels or (3 if self.native >= SDXL_SIDE else 4)

    @property
    def side(self) -> int:
        """Side of a tile, latent pixels: the setting, or the side that the model knows."""
        return self.settings.native_side(self.native)

    @property
    def fits_one_tile(self) -> bool:
        """Whether a tile is as large as the canvas, whose borders need not meet: then it is left to the model."""
        return max(self.canvas) <= self.side and not any(self.settings.wraps_per_axis)


Factory = Callable[[Request], Method]


@dataclass(frozen=True)
class Declaration:
    """All that is known of a method beside its plans: see `register`."""

    make: Factory
    reads: tuple[type[Options], ...]
    needs: frozenset[Capability]
    without: tuple[str, ...]
    seeded: Callable[[MethodOptions], bool]
    about: str = ""

    @property
    def settings(self) -> frozenset[str]:
        """Names of the settings that it reads."""
        return frozenset(name for group in self.reads for name in group.__fields__)


METHODS: dict[str, Declaration] = {}

STANDALONE_ONLY = "standalone only, for comparison."
"""What is said of methods that no WebUI can run."""


def register(
    name: str,
    *,
    reads: Collection[type[Options]] = (MethodOptions,),
    needs: Collection[Capability] = (),
    without: Collection[str] = (),
    seeded: Callable[[MethodOptions], bool] = lambda settings: True,
    about: str = "",
) -> Callable[[Factory], Factory]:
    """Make a factory selectable as `name` in the page, the API and X/Y/Z plots.

    `reads` are the groups of settings that it looks at. `needs` is what a host must be able to do besides evaluating
    tiles; only hosts that offer it run the method. `without` names settings that must keep their defaults with it.
    `seeded` says whether, with some settings, plans depend on the picture's seed; left out, they are taken to.
    `about` says in a sentence what it does, after its name.
    """

    def add(factory: Factory) -> Factory:
        if name in METHODS:
            raise ValueError(f"InstantAS: there is a method {name!r} already")
        METHODS[name] = Declaration(factory, tuple(reads), frozenset(needs), tuple(without), seeded, about)
        NAMES.append(name)
        return factory

    return add


def make_method(request: Request) -> Method:
    """The method that the settings name, for one canvas and one picture."""
    return METHODS[request.settings.method].make(request)


def plans_depend_on_seed(settings: MethodOptions) -> bool:
    """Whether pictures of different seeds have their tiles in different places."""
    return METHODS[settings.method].seeded(settings)
