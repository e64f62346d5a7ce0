"""The methods a user can choose from. A method is a way to make tile plans.

A new one is a class with a `plan`, and a factory that is registered under its name:

    @register("mine", label="Mine")
    def mine(request: Request) -> Method: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lib_instantas.bridging import BridgedGrid, make_position
from lib_instantas.settings import Settings
from lib_instantas.tiling import Segment, Size, Span, Tile, TilePlan, axes


class Method(Protocol):
    """A way to make tile plans."""

    def plan(self, evaluation: int) -> TilePlan:
        """The tiles of one evaluation, counted from 0."""


@dataclass(frozen=True)
class Request:
    """What a method is made for: canvas and native tile side in latent pixels, the picture's seed, the settings."""

    canvas: Size
    native: int
    settings: Settings
    seed: int = 0
    steps: int = 20


Factory = Callable[[Request], Method]

METHODS: dict[str, Factory] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Make a factory selectable as `name` in the page, the API and X/Y/Z plots."""

    def add(factory: Factory) -> Factory:
        METHODS[name] = factory
        return factory

    return add


def make_method(request: Request) -> Method:
    """The method that the settings name, for one canvas and one picture."""
    return METHODS[request.settings.method](request)


@register("InstantAS")
def instantas(request: Request) -> Method:
    """Non-overlapping minimum cover, moved by the bridging schedule (InstantAS, sections 3.1 and 3.2)."""
    settings = request.settings
    return BridgedGrid(
        axes=axes(request.canvas, settings.native_side(request.native), settings.fit),
        position=make_position(settings.schedule, settings.gamma, request.seed),
        edges=settings.edges_per_axis,
        movement=settings.movement,
        wraps=settings.wraps_per_axis,
    )


@dataclass(frozen=True)
class Direct:
    """The canvas as one tile: what the model does without any method."""

    canvas: Size

    def plan(self, evaluation: int) -> TilePlan:
        """The whole canvas, always."""
        y, x = (Segment(Span(0, length), Span(0, length)) for length in self.canvas)
        return TilePlan(self.canvas, (Tile(y, x),))


@register("direct")
def direct(request: Request) -> Method:
    """The model asked for the whole canvas at once."""
    return Direct(request.canvas)
