"""What rows of the tables change about a method, and users cannot: for ablations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from lib_instantas.methods import METHODS, Dilation, DisplacedGrid, Level, Method, Redilated, Request
from lib_instantas.methods.fstd import fixed_offset

Change = Callable[[Method], Method]


def _fixed(method: Method) -> Method:
    """FSTD with the same offset at every second step instead of a random one."""
    return replace(method, offset=fixed_offset) if isinstance(method, DisplacedGrid) else method


def _last_prediction(method: Method) -> Method:
    """FSTD with the last prediction where no tile lies, instead of the latent."""
    return replace(method, keeps_latents=False) if isinstance(method, DisplacedGrid) else method


def _dilated(change: Callable[[Dilation], Dilation]) -> Change:
    def changed(method: Method) -> Method:
        return replace(method, dilation=change(method.dilation)) if isinstance(method, Redilated) else method

    return changed


def _levels(**values: bool) -> Change:
    return _dilated(lambda one: replace(one, levels=tuple(replace(level, **values) for level in one.levels)))


EVERY_LEVEL = (Level(2), Level(2, damped=True), Level(2, damped=True))
"""As in ScaleCrafter's table 12."""

CHANGES: dict[str, Change] = {
    "fixed": _fixed,
    "last-prediction": _last_prediction,
    "without-progression": _dilated(lambda one: replace(one, shrinks=False)),
    "without-dispersion": _levels(dispersed=False),
    "without-damping": _levels(damped=False),
    "every-level": _dilated(lambda one: replace(one, levels=EVERY_LEVEL)),
    "dispersed": _dilated(lambda one: replace(one, levels=(Level(2.0001, dispersed=True),))),
}


@contextmanager
def changed(name: str, change: str) -> Iterator[None]:
    """While open, the method of this name is another."""
    own = METHODS[name]

    def make(request: Request) -> Method:
        return CHANGES[change](own.make(request))

    METHODS[name] = replace(own, make=make)
    try:
        yield
    finally:
        METHODS[name] = own
