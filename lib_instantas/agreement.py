"""What settings, methods and a host have to say to each other: refusals before sampling, and what has no effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from lib_instantas.capabilities import Capability
from lib_instantas.errors import SettingsError
from lib_instantas.methods import METHODS, NAMES, MethodOptions
from lib_instantas.methods.options import Choice, Fit, StyleOptions, TileSide
from lib_instantas.settings import Settings, names, option

Offer = frozenset[Capability]
"""What a host can do."""


def check(settings: Settings, offer: Offer) -> None:
    """Raises SettingsError if these settings cannot be done by a host that offers this, naming setting and value.

    Settings that are not enabled ask for nothing.
    """
    problems = list(_problems(settings, offer)) if settings.enabled else []
    if problems:
        raise SettingsError("; ".join(problems))


def _problems(settings: Settings, offer: Offer) -> Iterator[str]:
    method = METHODS[settings.method]
    if lacking := method.needs - offer:
        yield (
            f"method must be one of {', '.join(methods_of(offer))} on this host, got {settings.method!r}: "
            f"{_reason(lacking)}"
        )
    for name in names():
        extra, value = option(name).field_info.extra, getattr(settings, name)
        free = extra.get("free", (option(name).default,))
        if value in free:
            continue
        if name in method.without:
            yield f"{name} must be {_either(free)} with the method {settings.method}, got {_shown(value)}"
        elif "needs" in extra and extra["needs"] not in offer:
            reason = _reason({extra["needs"]})
            yield f"{name} must be {_either(free)} on this host, got {_shown(value)}: {reason}"


def methods_of(offer: Offer) -> list[str]:
    """The methods that a host can run, in the order in which they are offered."""
    return [name for name in NAMES if METHODS[name].needs <= offer]


def choices_of(name: str, offer: Offer) -> list[str]:
    """What a setting with choices can be on a host; only the first where the host has not what any other needs."""
    if name == "method":
        return methods_of(offer)
    extra = option(name).field_info.extra
    possible = "needs" not in extra or extra["needs"] in offer
    return list(extra["choices"] if possible else extra.get("free", (option(name).default,)))


def without_effect(settings: Settings) -> list[str]:
    """What was set, differs from the default and does nothing, in words: "gamma has no effect with schedule golden"."""
    return [f"{name} has no effect with {reason}" for name in names() if (reason := _idle(settings, name))]


def _idle(settings: Settings, name: str) -> str | None:
    """What else was set that makes a setting do nothing; None if it acts, or is at its default."""
    if getattr(settings, name) == option(name).default:
        return None
    if name in METHODS_READ and name not in settings_read(settings):
        return f"method {settings.method}"
    idle_beside = option(name).field_info.extra.get("idle_beside")
    return idle_beside(settings) if idle_beside else None


def settings_read(settings: Settings) -> frozenset[str]:
    """Names of the settings that make a difference to the tiles, or to the noise in them."""
    of_noise = {*Fit.__fields__, *TileSide.__fields__} if settings.style_alignment else set()
    return METHODS[settings.method].settings | of_noise


def readers(name: str) -> list[str]:
    """The methods with which a setting acts; those that are not a method's own act with all that allow them."""
    return [
        method
        for method in NAMES
        if name not in METHODS[method].without and (name not in METHODS_READ or name in METHODS[method].settings)
    ]


METHODS_READ = frozenset(MethodOptions.__fields__) - {*Choice.__fields__, *StyleOptions.__fields__}
"""Names of the settings that methods read. The others are the host's, the prompts' or the autoencoder's."""


def _reason(lacking: Collection[Capability]) -> str:
    first = next(one for one in Capability if one in lacking)
    return f"it needs {' and '.join(one.words for one in Capability if one in lacking)}; {first.instead}"


def _either(values: tuple[Any, ...]) -> str:
    return " or ".join("empty" if value == "" else f"{value}" for value in values)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
