"""Installs nothing. Says so if the extension cannot work in this Python, before the WebUI loads it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

OLDEST_PYTHON = (3, 10)
NEEDED = {"torch": (2, 0), "pydantic": (1, 10), "gradio": (3, 41)}


def shortcomings() -> Iterator[str]:
    """What is too old or missing, in words."""
    if sys.version_info < OLDEST_PYTHON:
        yield f"Python 3.10 or newer is needed, this is {sys.version_info.major}.{sys.version_info.minor}"
    for package, wanted in NEEDED.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            yield f"{package} is not installed"
            continue
        if tuple(int(part) for part in found.split(".")[:2] if part.isdigit()) < wanted:
            yield f"{package} {'.'.join(map(str, wanted))} or newer is needed, this is {found}"


if __name__ == "__main__":
    for shortcoming in shortcomings():
        print(f"InstantAS will not work here: {shortcoming}")
