"""What rows of the tables change about a method, and users cannot: for ablations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from lib_instantas.methods import METHODS, Dilation, DisplacedGrid, Level, Method, Redilated, Request
from lib_instantas.methods.fstd import fixed_offset

Change = Callable[[Method, Request], Method]


def _fixed(method: Method, request: Request) -> Method:
    """FSTD with the same offset at every second step instead of a random one."""
    return replace(method, offset=fixed_offset) if isinstance(method, DisplacedGrid) else method


def _last_prediction(method: Method, request: Request) -> Method:
    """FSTD with the last prediction where no tile lies, instead of the latent."""
    return replace(method, keeps_latents=False) if isinstance(method, DisplacedGrid) else method


def _dilated(change: Callable[[Dilation, Request], Dilation]) -> Change:
    def changed(method: Method, request: Request) -> Method:
        return replace(method, dilation=change(method.dilation, request)) if isinstance(method, Redilated) else method

    return changed


def _levels(**values: bool) -> Change:
    return _dilated(lambda one, _: replace(one, levels=tuple(replace(level, **values) for level in one.levels)))


def _every_level(dilation: Dilation, request: Request) -> Dilation:
    """All levels, as in ScaleCrafter's tables 8 and 12."""
    others = (Level(2, damped=True),) * (request.levels_of_unet - 1)
    return replace(dilation, levels=(Level(2), *others))


CHANGES: dict[str, Change] = {
    "fixed": _fixed,
    "last-prediction": _last_prediction,
    "without-progression": _dilated(lambda one, _: replace(one, shrinks=False)),
    "without-dispersion": _levels(dispersed=False),
    "without-damping": _levels(damped=False),
    "every-level": _dilated(_every_level),
    "dispersed": _dilated(lambda one, _: replace(one, levels=(Level(2.0001, dispersed=True),))),
}


@contextmanager
def changed(name: str, change: str) -> Iterator[None]:
    """While open, the method of this name is another."""
    own = METHODS[name]

    def make(request: Request) -> Method:
        return CHANGES[change](own.make(request), request)

    METHODS[name] = replace(own, make=make)
    try:
        yield
    finally:
        METHODS[name] = own
