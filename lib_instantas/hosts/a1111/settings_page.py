"""Where a generation's settings come from: what the caller says, and the defaults of the host's settings page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules import shared

from lib_instantas.agreement import choices_of, help_of
from lib_instantas.components import component_of
from lib_instantas.hosts.a1111.language import here
from lib_instantas.hosts.a1111.offers import offer_of_host
from lib_instantas.hosts.a1111.presets import with_preset
from lib_instantas.settings import Settings, SettingsError, is_free_text, names, option, parse_settings
from lib_instantas.texts.panel import NOTES

SECTION = ("instantas", "InstantAS")

PER_PICTURE = ("enabled", "width", "height")
"""Settings that belong to one picture and have no default to choose."""


def option_name(setting: str) -> str:
    """The key under which the host stores the default of a setting."""
    return f"instantas_{setting}"


def default_settings() -> Settings:
    """The settings with the user's defaults; those declared in the code where a stored one has become invalid."""
    stored = {name: getattr(shared.opts, option_name(name), option(name).default) for name in _with_default()}
    values: dict[str, Any] = {}
    for name, value in stored.items():
        try:
            parse_settings({name: value})
        except SettingsError:
            continue
        values[name] = value
    return parse_settings(values)


def add_options() -> None:
    """Put a default for each setting onto the host's settings page."""
    when = shared.OptionHTML(here(NOTES["defaults"]))
    when.section = SECTION
    shared.opts.add_option(option_name("note"), when)
    for name in _with_default():
        info = shared.OptionInfo(
            option(name).default, _label(name), *component_of(name, choices_here(name)), section=SECTION
        )
        shared.opts.add_option(option_name(name), info.info(help_here(name)))


def _with_default() -> list[str]:
    return [name for name in names() if name not in PER_PICTURE and not is_free_text(name)]


def choices_here(name: str) -> list[str] | None:
    """What a setting can be on this host: methods that it cannot run are not offered. None where anything goes."""
    return choices_of(name, offer_of_host()) if "choices" in option(name).field_info.extra else None


def _label(name: str) -> str:
    return str(option(name).field_info.extra["label"])


def help_here(name: str) -> str:
    """What a setting does, in the page's language; for `method` what those do that this host runs."""
    return here(help_of(name, offer_of_host()))


def parse_arguments(arguments: Sequence[Any]) -> Settings:
    """The settings that script arguments stand for; SettingsError names what is wrong.

    Either one object of named values comes first, which may name a preset too, the user's defaults standing in for what
    it does not name, or the values come in the panel's order, None and missing ones at the end standing for defaults.
    """
    defaults = default_settings().dict()
    if arguments and isinstance(arguments[0], Mapping):
        if any(isinstance(other, Mapping) for other in arguments[1:]):
            raise SettingsError("args must hold one object of named settings, got several")
        return parse_settings({**defaults, **with_preset(arguments[0])})
    if len(arguments) > len(names()):
        raise SettingsError(f"args must be at most {len(names())} values ({', '.join(names())}), got {len(arguments)}")
    given = zip(names(), arguments, strict=False)
    return parse_settings({**defaults, **{name: value for name, value in given if value is not None}})


def with_setting(arguments: Sequence[Any], name: str, value: Any) -> tuple[Any, ...]:
    """The same script arguments with one setting replaced, or with the settings of a preset."""
    if arguments and isinstance(arguments[0], Mapping):
        return ({**arguments[0], name: value}, *arguments[1:])
    changed = [*arguments, *[None] * (len(names()) - len(arguments))]
    for one, new in with_preset({name: value}).items():
        changed[names().index(one)] = new
    return tuple(changed)
