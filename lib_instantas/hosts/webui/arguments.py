"""Settings from what the host hands to a script: the panel's values in order, or one object from the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib_instantas.hosts.webui.options import default_settings
from lib_instantas.settings import Settings, SettingsError, names, parse_settings


def parse_arguments(arguments: Sequence[Any]) -> Settings:
    """The settings that script arguments stand for; SettingsError names what is wrong.

    Either one object of named values comes first, the user's defaults standing in for what it does not name, or the
    values come in the panel's order, None and missing ones at the end standing for defaults.
    """
    defaults = default_settings().dict()
    if arguments and isinstance(arguments[0], Mapping):
        return parse_settings({**defaults, **arguments[0]})
    if len(arguments) > len(names()):
        raise SettingsError(f"args must be at most {len(names())} values ({', '.join(names())}), got {len(arguments)}")
    given = zip(names(), arguments, strict=False)
    return parse_settings({**defaults, **{name: value for name, value in given if value is not None}})


def with_setting(arguments: Sequence[Any], name: str, value: Any) -> tuple[Any, ...]:
    """The same script arguments with one setting replaced."""
    if arguments and isinstance(arguments[0], Mapping):
        return ({**arguments[0], name: value}, *arguments[1:])
    changed = [*arguments, *[None] * (len(names()) - len(arguments))]
    changed[names().index(name)] = value
    return tuple(changed)
