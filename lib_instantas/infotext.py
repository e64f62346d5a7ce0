"""A run in one line of picture metadata, and back to the same settings."""

from __future__ import annotations

import json
from typing import Any

from lib_instantas.settings import Settings, SettingsError, parse_settings

KEY = "InstantAS"
VERSION = 1


def to_text(settings: Settings, done: str) -> str:
    """One line that holds every setting and says what was done, or why nothing was.

    JSON with the version first, so that it always holds a `:` and a `,`: the WebUI then quotes it and gives it back
    unchanged, whatever the texts in it are.
    """
    values = settings.dict()
    if settings.regions:
        values["regions"] = json.loads(settings.regions)  # as JSON within JSON, not as a text full of escapes
    return json.dumps({"version": VERSION, "done": done, "settings": values}, ensure_ascii=False)


def from_text(text: str) -> Settings:
    """The settings of a line that `to_text` made; raises SettingsError for anything else."""
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError:
        raise SettingsError(f"infotext must be JSON as this extension writes it, got {text[:80]!r}") from None
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise SettingsError(f"infotext must be of version {VERSION}, got {text[:80]!r}")
    return parse_settings(value.get("settings", {}))


def quoted(value: object) -> str:
    """A value as the WebUI writes it between "key: " and the next comma."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text
