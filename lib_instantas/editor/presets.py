"""Named region setups on the server."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

PREFIX, SUFFIX = "preset-", ".json"
"""A file name that begins so is no device name on Windows and no hidden file anywhere."""

MAX_NAME = 100
MAX_FILE_NAME = 240
"""Characters of an encoded file name; file systems allow 255 bytes."""

MAX_PRESETS = 500

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class PresetError(ValueError):
    """A preset that cannot be saved, read or deleted; the message is for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(f"InstantAS: {message}")


def file_name(name: str) -> str:
    """The file name of a preset: everything but a-z, 0-9, "-" and "_" is percent-encoded.

    So no name holds a path separator, a dot or a drive, and names that differ in case only stay apart everywhere.
    Raises PresetError for an empty, too long or unprintable name.
    """
    name = name.strip()
    if not name:
        raise PresetError("a preset needs a name")
    if len(name) > MAX_NAME:
        raise PresetError(f"a preset's name must have at most {MAX_NAME} characters, got {len(name)}")
    if not name.isprintable():
        raise PresetError(f"a preset's name must be printable, got {name!r}")
    encoded = PREFIX + "".join(c if c in _PLAIN else _encoded(c) for c in name) + SUFFIX
    if len(encoded) > MAX_FILE_NAME:
        raise PresetError("the preset's name is too long for a file name; use fewer or simpler characters")
    return encoded


def _encoded(character: str) -> str:
    escaped = quote(character, safe="", errors="strict")
    return escaped if escaped != character else f"%{ord(character):02X}"


class PresetStore:
    """Presets as JSON files in one folder. The folder is made when the first preset is saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Every saved preset's name, sorted without regard to case."""
        files = self.folder.glob(f"{PREFIX}*{SUFFIX}") if self.folder.is_dir() else ()
        names = (unquote(path.name[len(PREFIX) : -len(SUFFIX)]) for path in files)
        return sorted(names, key=str.casefold)

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Write a preset, in one piece or not at all; one of the same name is replaced."""
        path = self._path(name)
        if not path.exists() and len(self.names()) >= MAX_PRESETS:
            raise PresetError(f"there are {MAX_PRESETS} presets already; delete one first")
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(document, file, ensure_ascii=False, indent=1)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def load(self, name: str) -> Any:
        """What was saved under a name, as read: the caller validates it."""
        path = self._path(name)
        if not path.is_file():
            raise PresetError(f"no preset {name.strip()!r}")
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise PresetError(f"preset {name.strip()!r} cannot be read: {error}") from None

    def delete(self, name: str) -> None:
        """Remove a preset."""
        path = self._path(name)
        if not path.is_file():
            raise PresetError(f"no preset {name.strip()!r}")
        path.unlink()

    def _path(self, name: str) -> Path:
        return self.folder / file_name(name)
