"""The commands and how they are found."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lib_instantas.cli import demo, generate, plan, serve, settings, train_ratios
from lib_instantas.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 2 with a message on stderr if a setting cannot be used."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    root = argparse.ArgumentParser(prog="python -m lib_instantas", description="Pictures of any size.")
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for command in (plan, generate, demo, serve, settings, train_ratios):
        command.add_to(commands)
    return root
