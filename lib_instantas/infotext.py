"""A run in one line of picture metadata, and back to the same settings."""

from __future__ import annotations

import json
from typing import Any

from lib_instantas.settings import Settings, SettingsError, parse_settings

KEY = "InstantAS"
VERSION = 4

DEFAULTS: dict[int, dict[str, Any]] = {
    1: {"told_size": "canvas"},
    2: {
        "enabled": False,
        "method": "InstantAS",
        "overlap": 0.5,
        "gamma": 0.25,
        "schedule": "golden",
        "edges": "elastic",
        "movement": "alternate",
        "fit": "fitted",
        "tile": 0,
        "tile_batch": 0,
        "width": 0,
        "height": 0,
        "regions": "",
        "style_alignment": 0.0,
        "style_reference": "",
        "vae": "auto",
        "vae_tile": 512,
        "vae_mode": "exact",
        "wrap": "off",
        "dilation": 0.0,
        "dilated_levels": 1,
        "compose": False,
        "compose_strength": 0.5,
        "compose_guidance": 0.0,
        "compose_upscaler": "Lanczos",
        "compose_lora": "",
        "told_size": "canvas",
    },
}
DEFAULTS[3] = {**DEFAULTS[2], "edges": "elastic/sway", "fit": "uniform", "hold": False}
DEFAULTS[4] = {**DEFAULTS[3], "told_size": "tile", "upscale_by": 1.0, "upscaler": "Lanczos", "compose_tiles_lora": ""}
"""What a line of each version leaves unsaid. These never change: whoever changes a default of a setting adds a version,
so that an old line goes on making its picture. A new setting is added to the last. Version 1 left nothing unsaid
of what there was."""


def to_text(settings: Settings, done: str) -> str:
    """One line that holds what differs from its version's defaults and says what was done, or why nothing was.

    JSON with the version first, so that it always holds a `:` and a `,`: the WebUI then quotes it and gives it back
    unchanged, whatever the texts in it are.
    """
    unsaid = DEFAULTS[VERSION]
    values = {name: value for name, value in settings.dict().items() if name not in unsaid or value != unsaid[name]}
    if settings.regions:
        values["regions"] = json.loads(settings.regions)  # as JSON within JSON, not as a text full of escapes
    return json.dumps({"version": VERSION, "done": done, "settings": values}, ensure_ascii=False)


def from_text(text: str) -> Settings:
    """The settings of a line that `to_text` made; raises SettingsError for anything else."""
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError:
        raise SettingsError(f"infotext must be JSON as this extension writes it, got {text[:80]!r}") from None
    version = value.get("version") if isinstance(value, dict) else None
    if type(version) is not int or version not in DEFAULTS:
        raise SettingsError(f"infotext must be of a version up to {VERSION}, got {text[:80]!r}")
    given = value.get("settings", {})
    return parse_settings({**DEFAULTS[version], **given} if isinstance(given, dict) else given)


def quoted(value: object) -> str:
    """A value as the WebUI writes it between "key: " and the next comma."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text
