"""Command line options derived from the declared settings."""

from __future__ import annotations

import argparse
from typing import Any

from lib_instantas.presets import KEY, PRESETS, expanded
from lib_instantas.settings import Settings, kind, names, option, parse_settings

LEFT_TO_THE_COMMAND = ("enabled", "width", "height", "regions")
"""Settings that a command asks for in its own way."""

ALSO = {"compose_lora": ("--ratio-lora",), "compose_tiles_lora": ("--tiles-lora",)}
"""Further names of options."""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Give a command one option per setting."""
    group = parser.add_argument_group("settings")
    named = f"{', '.join(PRESETS)}: all settings for a kind of picture; single ones override it"
    group.add_argument(f"--{KEY}", default=argparse.SUPPRESS, metavar="NAME", help=named.replace("%", "%%"))
    for name in names():
        if name in LEFT_TO_THE_COMMAND:
            continue
        field = option(name)
        extra = field.field_info.extra
        group.add_argument(
            f"--{name.replace('_', '-')}",
            *ALSO.get(name, ()),
            dest=name,
            type=kind(field),
            default=argparse.SUPPRESS,
            metavar="|".join(extra["choices"][:3]) if "choices" in extra else None,
            help=f"{extra['help']} (default {field.default})".replace("%", "%%"),
        )


def settings_from(options: argparse.Namespace, **given: Any) -> Settings:
    """The settings that the options name, checked; raises SettingsError."""
    chosen = {name: value for name, value in vars(options).items() if name in (KEY, *names())}
    return parse_settings({"enabled": True, **expanded(chosen), **given})
