"""`settings`: every option with its default, what it allows and which methods read it; and the presets."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from lib_instantas.agreement import help_of, readers
from lib_instantas.methods import NAMES
from lib_instantas.presets import PRESETS
from lib_instantas.settings import allowed, names, option


def add_to(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("settings", help="list every setting", description=__doc__)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the tables."""
    print(settings_table())
    print()
    print(presets_table())


def settings_table() -> str:
    """A Markdown table with one row per setting, in the order of the page and of positional API arguments."""
    rows = [("Setting", "Default", "Allowed", "Methods", "What it does"), ("---",) * 5]
    for name in names():
        field = option(name)
        about = help_of(name).replace("\n", " ")
        rows.append((f"`{name}`", f"`{_json(field.default)}`", allowed(name), _methods(name), about))
    return _table(rows)


def presets_table() -> str:
    """A Markdown table with one row per preset: what it is for, and what it changes of the defaults."""
    rows = [("Preset", "For", "Sets"), ("---",) * 3]
    for name, preset in PRESETS.items():
        changes = ", ".join(f"`{setting}` {_json(value)}" for setting, value in preset.changes.items())
        rows.append((name, preset.about, changes or "the defaults"))
    return _table(rows)


def _table(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _methods(name: str) -> str:
    """With which methods a setting acts: the shorter of two lists."""
    read_by = readers(name)
    others = [method for method in NAMES if method not in read_by]
    if not others:
        return "all"
    return ", ".join(read_by) if len(read_by) <= len(others) else f"all but {', '.join(others)}"


def _json(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value:g}"
