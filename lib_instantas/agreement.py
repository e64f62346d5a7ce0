"""What settings, methods and a host have to say to each other: refusals before sampling, and what has no effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from lib_instantas.capabilities import Capability
from lib_instantas.errors import SettingsError
from lib_instantas.methods import METHODS, NAMES, MethodOptions
from lib_instantas.methods.options import Choice, Fit, StyleOptions, TileSide
from lib_instantas.settings import Settings, names, option
from lib_instantas.texts import messages
from lib_instantas.texts.message import Message, joined

Offer = frozenset[Capability]
"""What a host can do."""


def check(settings: Settings, offer: Offer) -> None:
    """Raises SettingsError if these settings cannot be done by a host that offers this, naming setting and value.

    Settings that are not enabled ask for nothing.
    """
    problems = list(_problems(settings, offer)) if settings.enabled else []
    if problems:
        raise SettingsError(joined(problems, messages.NEXT))


def _problems(settings: Settings, offer: Offer) -> Iterator[str]:
    method = METHODS[settings.method]
    if lacking := method.needs - offer:
        allowed, value = messages.ONE_OF(choices=", ".join(methods_of(offer))), repr(settings.method)
        yield messages.ON_THIS_HOST(name="method", allowed=allowed, value=value, reason=_reason(lacking))
    for name in names():
        extra, value = option(name).field_info.extra, getattr(settings, name)
        free = extra.get("free", (option(name).default,))
        if value in free:
            continue
        if name in method.without:
            yield messages.WITH_METHOD(name=name, allowed=_either(free), method=settings.method, value=_shown(value))
        elif "needs" in extra and extra["needs"] not in offer:
            reason = _reason({extra["needs"]})
            yield messages.ON_THIS_HOST(name=name, allowed=_either(free), value=_shown(value), reason=reason)


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


def help_of(name: str, offer: Offer = frozenset(Capability)) -> str:
    """What a setting does, as a message; for `method` what each of those does that a host with this offer runs."""
    said: str = Message(option(name).field_info.extra["help"])
    if name != "method":
        return said
    by_what_they_do: dict[str, list[str]] = {}
    for method in methods_of(offer):
        if about := METHODS[method].about:
            by_what_they_do.setdefault(about, []).append(method)
    for about, methods in by_what_they_do.items():
        said = messages.METHODS_DO(before=said, methods=", ".join(methods), about=Message(about))
    return said


def without_effect(settings: Settings) -> list[str]:
    """What was set, differs from the default and does nothing, in words: "gamma has no effect with schedule golden"."""
    idle = ((name, _idle(settings, name)) for name in names())
    return [messages.NO_EFFECT(name=name, reason=reason) for name, reason in idle if reason]


def _idle(settings: Settings, name: str) -> str | None:
    """What else was set that makes a setting do nothing; None if it acts, or is at its default."""
    return None if getattr(settings, name) == option(name).default else why_idle(settings, name)


def why_idle(settings: Settings, name: str) -> str | None:
    """What of the other settings makes one do nothing, whatever its own value is; None where it acts."""
    if name in METHODS_READ and name not in settings_read(settings):
        return f"method {settings.method}"
    idle_beside = option(name).field_info.extra.get("idle_beside")
    return idle_beside(settings) if idle_beside else None


def settings_read(settings: Settings) -> frozenset[str]:
    """Names of the settings that make a difference to the tiles, or to the noise in them."""
    of_noise = {*Fit.__fields__, *TileSide.__fields__} if settings.style_alignment else set()
    return METHODS[settings.method].settings | of_noise


METHODS_READ = frozenset(MethodOptions.__fields__) - {*Choice.__fields__, *StyleOptions.__fields__}
"""Names of the settings that methods read. The others are the host's, the prompts' or the autoencoder's."""

DECIDING = ("method", "schedule", "wrap", "style_alignment", "regions", "vae", "compose", "upscale_by")
"""The settings beside which others do nothing."""

CAN_BE_IDLE = tuple(name for name in names() if name in METHODS_READ or "idle_beside" in option(name).field_info.extra)
"""The settings that do nothing beside others."""


def readers(name: str) -> list[str]:
    """The methods with which a setting acts; those that are not a method's own act with all that allow them."""
    return [
        method
        for method in NAMES
        if name not in METHODS[method].without and (name not in METHODS_READ or name in METHODS[method].settings)
    ]


def _reason(lacking: Collection[Capability]) -> str:
    first = next(one for one in Capability if one in lacking)
    needs = joined([one.words for one in Capability if one in lacking], messages.AND)
    return messages.NEEDS(needs=needs, instead=first.instead)


def _either(values: tuple[Any, ...]) -> str:
    return joined([messages.EMPTY() if value == "" else f"{value}" for value in values], messages.OR)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
