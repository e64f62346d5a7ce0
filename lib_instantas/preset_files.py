"""One's own presets in files: what each sets, and the version of the defaults that it leaves unsaid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lib_instantas.errors import SettingsError
from lib_instantas.infotext import DEFAULTS, VERSION, settings_of
from lib_instantas.presets import PRESET_NAMES, Values, differences, preset_values
from lib_instantas.settings import names
from lib_instantas.texts import messages

UNNUMBERED = 5
"""The version of presets that were kept before they said theirs."""

LARGEST_FILE = 2**20
"""Bytes of a file of presets: each of the most that can be kept has two thousand."""

KIND, KIND_OF_PRESETS = "kind", "InstantAS presets"


def kept(changes: Values) -> dict[str, Any]:
    """A preset as it is kept: in which settings it differs from the defaults, and from which."""
    return {"version": VERSION, "settings": dict(changes)}


def changes_in(document: Any) -> dict[str, Any]:
    """In which settings a preset that was kept differs from the defaults of now.

    Raises SettingsError for what is none, a setting that no preset sets, or a value that it cannot have.
    """
    if isinstance(document, Mapping) and set(document) == {"version", "settings"}:
        return _changes(document["version"], document["settings"])
    return _changes(UNNUMBERED, document)


def to_file(own: Mapping[str, Values]) -> str:
    """The text of a file that holds presets, by name."""
    content = {KIND: KIND_OF_PRESETS, "version": VERSION, "presets": {name: dict(own[name]) for name in own}}
    return json.dumps(content, ensure_ascii=False, indent=1)


def from_file(content: bytes) -> dict[str, dict[str, Any]]:
    """The presets in a file that `to_file` made: by name, in which settings each differs from the defaults.

    Raises SettingsError for any other file, and for the first preset in it that cannot be: by its name, with the
    setting, its value and what is allowed.
    """
    found = _read(content)
    if not isinstance(found, dict) or found.get(KIND) != KIND_OF_PRESETS or not isinstance(found.get("presets"), dict):
        raise SettingsError(messages.NOT_OF_PRESETS())
    presets: dict[str, dict[str, Any]] = {}
    for name, changes in found["presets"].items():
        try:
            presets[name.strip()] = _changes(found.get("version"), changes)
        except SettingsError as error:
            raise SettingsError(messages.PRESET_OF_FILE(name=repr(name[:80]), problem=error.message)) from None
    return presets


def _read(content: bytes) -> Any:
    if len(content) > LARGEST_FILE:
        raise SettingsError(messages.FILE_TOO_LARGE(most=LARGEST_FILE, value=len(content)))
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_without_doubles)
    except RecursionError:
        raise SettingsError(messages.FILE_TOO_DEEP()) from None
    except UnicodeDecodeError:
        raise SettingsError(messages.FILE_NO_TEXT()) from None
    except json.JSONDecodeError as error:
        raise SettingsError(messages.FILE_NO_JSON(error=error)) from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    stripped = [name.strip() for name, _ in pairs]
    if twice := next((name for name in stripped if stripped.count(name) > 1), None):
        raise SettingsError(messages.NAMED_TWICE(name=repr(twice[:80])))
    return dict(pairs)


def _changes(version: Any, given: Any) -> dict[str, Any]:
    if type(version) is not int or version not in DEFAULTS:
        raise SettingsError(messages.PRESETS_VERSION(version=VERSION, value=repr(version)[:80]))
    if isinstance(given, Mapping):
        for name in given:
            if name in names() and name not in PRESET_NAMES:
                raise SettingsError(messages.NOT_BY_A_PRESET(name=name, known=", ".join(PRESET_NAMES)))
    return differences(settings_of(version, given), preset_values({}))
