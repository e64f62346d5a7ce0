"""`settings`: every option with its default and what it allows, as the Markdown table of the docs."""

from __future__ import annotations

import argparse
from typing import Any

from lib_instantas.settings import allowed, names, option


def add_to(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("settings", help="list every setting", description=__doc__)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    print(settings_table())


def settings_table() -> str:
    """A Markdown table with one row per setting, in the order of the page and of positional API arguments."""
    rows = [("Setting", "Default", "Allowed", "What it does"), ("---",) * 4]
    for name in names():
        field = option(name)
        rows.append((f"`{name}`", f"`{_json(field.default)}`", allowed(name), field.field_info.extra["help"]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _json(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value:g}"
