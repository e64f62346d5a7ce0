"""Named region setups on the server."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from lib_instantas.errors import RefusalError
from lib_instantas.texts import messages

logger = logging.getLogger(__name__)

PREFIX, SUFFIX = "preset-", ".json"
"""A file name that begins so is no device name on Windows and no hidden file anywhere."""

MAX_NAME = 100

LONGEST = 100
"""Characters of a file name that spells the preset's name; every file system takes them."""

LONGEST_ONCE = 240
"""Characters of the file names that were written in former times, which are still read."""

DIGEST = "="
"""Comes before the digest in a file name that does not spell the whole name; stands in no other."""

KEPT_OF_THE_NAME, KEPT_OF_THE_DIGEST = 40, 32

MAX_PRESETS = 500

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class PresetError(RefusalError):
    """A preset that cannot be saved, read or deleted."""


def file_name(name: str) -> str:
    """The file name of a preset: everything but a-z, 0-9, "-" and "_" is percent-encoded.

    So no name holds a path separator, a dot or a drive, and names that differ in case only stay apart everywhere. Of a
    name that would become too long so, the file name has the beginning and a digest; the file itself has the name.
    Raises PresetError for an empty, too long or unprintable name.
    """
    spelt = _spelt(name)
    if len(spelt) <= LONGEST:
        return spelt
    digest = hashlib.sha256(name.strip().encode()).hexdigest()[:KEPT_OF_THE_DIGEST]
    return spelt[: len(PREFIX) + KEPT_OF_THE_NAME] + DIGEST + digest + SUFFIX


def _spelt(name: str) -> str:
    name = name.strip()
    if not name:
        raise PresetError(messages.NO_NAME())
    if len(name) > MAX_NAME:
        raise PresetError(messages.NAME_TOO_LONG(most=MAX_NAME, value=len(name)))
    if not name.isprintable():
        raise PresetError(messages.NAME_UNPRINTABLE(name=repr(name)))
    return PREFIX + "".join(c if c in _PLAIN else _encoded(c) for c in name) + SUFFIX


def _encoded(character: str) -> str:
    escaped = quote(character, safe="", errors="strict")
    return escaped if escaped != character else f"%{ord(character):02X}"


class PresetStore:
    """Presets as JSON files in one folder. The folder is made when the first preset is saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Every saved preset's name, sorted without regard to case."""
        names = (self._name_of(path) for path in self._files())
        return sorted((name for name in names if name is not None), key=str.casefold)

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Write a preset, in one piece or not at all; one of the same name is replaced."""
        path = self._path(name)
        if not path.exists() and len(self._files()) >= MAX_PRESETS:
            raise PresetError(messages.TOO_MANY_PRESETS(most=MAX_PRESETS))
        self._write(path, name, document)

    def _write(self, path: Path, name: str, document: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        content = {"name": name.strip(), "preset": document} if DIGEST in path.name else document
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False, indent=1)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def load(self, name: str) -> Any:
        """What was saved under a name, as read: the caller validates it."""
        path = self._existing(name)
        try:
            content = _content(path)
        except ValueError as error:
            raise PresetError(messages.UNREADABLE_PRESET(name=repr(name.strip()), error=error)) from None
        return content["preset"] if DIGEST in path.name else content

    def rename(self, name: str, new: str) -> None:
        """Give a preset another name, that none has yet."""
        if name.strip() == new.strip():
            raise PresetError(messages.SAME_NAME(name=repr(name.strip())))
        if self._path(new).exists():
            raise PresetError(messages.NAME_TAKEN(name=repr(new.strip())))
        content = self.load(name)
        self._write(self._path(new), new, content)
        self.delete(name)

    def delete(self, name: str) -> None:
        """Remove a preset."""
        self._existing(name).unlink()

    def _files(self) -> list[Path]:
        return list(self.folder.glob(f"{PREFIX}*{SUFFIX}")) if self.folder.is_dir() else []

    def _existing(self, name: str) -> Path:
        path = self._path(name)
        if not path.is_file():
            raise PresetError(messages.NO_PRESET(name=repr(name.strip())))
        return path

    def _path(self, name: str) -> Path:
        """Where a preset is, or would be written."""
        spelt = _spelt(name)
        if LONGEST < len(spelt) <= LONGEST_ONCE and any(path.name == spelt for path in self._files()):
            return self.folder / spelt
        return self.folder / file_name(name)

    def _name_of(self, path: Path) -> str | None:
        if DIGEST not in path.name:
            return unquote(path.name[len(PREFIX) : -len(SUFFIX)])
        try:
            return str(_content(path)["name"])
        except (OSError, ValueError) as error:
            logger.warning("InstantAS: the preset in %s is left out: %s", path, error)
            return None


def _content(path: Path) -> Any:
    """What a file holds. Raises ValueError for what is no preset, in words."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if DIGEST in path.name and not (isinstance(content, dict) and {"name", "preset"} <= set(content)):
        raise ValueError('"name" and "preset" are missing')
    return content
