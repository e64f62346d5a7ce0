"""What a method is, and the register of all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lib_instantas.errors import SettingsError
from lib_instantas.tiling import Size, TilePlan

if TYPE_CHECKING:
    # The settings list the registered names, so they import this module.
    from lib_instantas.settings import Settings


class Method(Protocol):
    """A way to make tile plans."""

    def plan(self, evaluation: int) -> TilePlan:
        """The tiles of one evaluation, counted from 0. The first plan leaves no pixel uncovered."""


@dataclass(frozen=True)
class Request:
    """What a method is made for: canvas and native tile side in latent pixels, the picture's seed, the settings.

    `steps` is the number of evaluations the sampler is expected to make.
    """

    canvas: Size
    native: int
    settings: Settings
    seed: int = 0
    steps: int = 20

    @property
    def side(self) -> int:
        """Side of a tile, latent pixels: the setting, or the side that the model knows."""
        return self.settings.native_side(self.native)


Factory = Callable[[Request], Method]

METHODS: dict[str, Factory] = {}

NAMES: list[str] = []
"""The names of METHODS in the order in which they are offered."""


NEEDS: dict[str, str] = {}
"""What a method asks of its host beyond evaluating tiles, in words; such a host offers it by the method's name."""


def register(name: str, needs: str = "") -> Callable[[Factory], Factory]:
    """Make a factory selectable as `name` in the page, the API and X/Y/Z plots.

    `needs` says in words what the method needs besides its plans; only hosts that offer it run the method.
    """

    def add(factory: Factory) -> Factory:
        if name in METHODS:
            raise ValueError(f"InstantAS: there is a method {name!r} already")
        METHODS[name] = factory
        NAMES.append(name)
        if needs:
            NEEDS[name] = needs
        return factory

    return add


def check_method(name: str, offered: Collection[str] = ()) -> None:
    """Raises SettingsError if a method needs more than plans and is not among those that the host offers."""
    if name in NEEDS and name not in offered:
        runs_here = ", ".join(one for one in NAMES if one not in NEEDS or one in offered)
        raise SettingsError(
            f"method must be one of {runs_here} on this host, got {name!r}: it needs {NEEDS[name]} and runs in the "
            f"standalone program only (python -m lib_instantas generate)"
        )


def make_method(request: Request) -> Method:
    """The method that the settings name, for one canvas and one picture."""
    return METHODS[request.settings.method](request)
