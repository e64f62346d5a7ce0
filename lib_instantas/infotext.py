"""A run in one line of picture metadata, and back to the same settings."""

from __future__ import annotations

import json
import re
from typing import Any

from lib_instantas.edges import ROOM
from lib_instantas.settings import Settings, SettingsError, parse_settings

KEY = "InstantAS"
VERSION = 6
LAST_JSON = 4
OF_A_TILE = 6
"""The first version whose gamma is a share of a tile on all edges."""
PLAIN = re.compile(r"[A-Za-z][\w./+-]*")
"""A text that needs no quotes, but for JSON_WORDS."""
JSON_WORDS = ("true", "false", "null")

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
DEFAULTS[4] = {
    **DEFAULTS[3],
    "told_size": "tile",
    "upscale_by": 1.0,
    "upscaler": "Lanczos",
    "region_binding": 0,
    "compose_tiles_lora": "",
}
DEFAULTS[5] = {**DEFAULTS[4], "enabled": True, "dilated_levels": 0}
DEFAULTS[6] = {**DEFAULTS[5], "noise_inversion": 0, "compose_background": "", "fidelity": 0.0}
"""What a line of each version leaves unsaid. These never change: whoever changes a default of a setting adds a version,
so that an old line goes on making its picture. A new setting is added to the last. Version 1 left nothing unsaid
of what there was. Before version 5, ScaleCrafter dispersed its kernels between the factors 2 and 3, the standalone
program's FSTD kept the last prediction where it now keeps the latent, and soft borders of regions blended scores, not
answers: those lines are of slightly other pictures than they make now. Before version 6, gamma was a share of the room
that lines have, half a tile on elastic and swaying edges; it is read as the share of a tile that it was, but where one
axis has such edges and the other has not: there it is that of the other. Pictures with regions made before
the lines between tiles stood on the regions' borders are slightly others, of every version, and so are those of eight
evaluations or fewer made before their tiles faded into each other."""


def to_text(settings: Settings, done: str) -> str:
    """One line: what differs from its version's defaults, then what was done, or why nothing was.

    Such as "v6 tile=128, fit=fitted: 6 tiles of 128x128, 12 UNet evaluations". It always holds a `:`, so that the WebUI
    quotes it and gives it back unchanged, whatever the texts in it are.
    """
    unsaid = DEFAULTS[VERSION]
    values = {name: value for name, value in settings.dict().items() if value != unsaid[name]}
    said = ", ".join(f"{name}={_written(name, value)}" for name, value in values.items())
    return f"v{VERSION} {said}".rstrip() + f": {done}"


def from_text(text: str) -> Settings:
    """The settings of a line that `to_text` made, of this version or an older one.

    Raises SettingsError for anything else.
    """
    version, given = _read_json(text) if text.lstrip().startswith("{") else _read(text)
    if version not in DEFAULTS:
        raise SettingsError(f"infotext must be of a version up to {VERSION}, got {text[:80]!r}")
    return settings_of(version, given)


def settings_of(version: int, given: Any) -> Settings:
    """The settings that were `given` beside the defaults of one of the versions, as they are said now.

    Raises SettingsError for what parse_settings refuses.
    """
    settings = parse_settings({**DEFAULTS[version], **given} if isinstance(given, dict) else given)
    rooms = {ROOM[edges] for edges in settings.edges_in_use}
    if version >= OF_A_TILE or settings.schedule != "cyclic" or len(rooms) > 1:
        return settings
    return parse_settings({**settings.dict(), "gamma": settings.gamma * rooms.pop()})


def _written(name: str, value: Any) -> str:
    """A value as it stands in the line: as JSON, a plain word without quotes, regions as the JSON that they are."""
    if name == "regions":
        return str(value)
    plain = isinstance(value, str) and PLAIN.fullmatch(value) and value not in JSON_WORDS
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _read(text: str) -> tuple[int, dict[str, Any]]:
    begin = re.match(r"v(\d+) ?", text)
    if begin is None:
        raise SettingsError(f"infotext must be as this extension writes it, got {text[:80]!r}")
    values: dict[str, Any] = {}
    rest = text[begin.end() :]
    while not rest.startswith(":"):
        name, equals, rest = rest.removeprefix(", ").partition("=")
        if not equals or not name.isidentifier():
            raise SettingsError(f"infotext must say name=value before its colon, got {text[:80]!r}")
        values[name], rest = _value_before(rest)
    return int(begin[1]), values


def _value_before(text: str) -> tuple[Any, str]:
    """The value that a text begins with, and what comes after it."""
    word = PLAIN.match(text)
    if word is not None and word[0] not in JSON_WORDS:
        return word[0], text[word.end() :]
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError:
        raise SettingsError(f"infotext must hold values as this extension writes them, got {text[:80]!r}") from None
    return value, text[end:]


def _read_json(text: str) -> tuple[int, Any]:
    """A line of the versions up to 4, which were JSON."""
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError:
        raise SettingsError(f"infotext must be JSON as this extension wrote it, got {text[:80]!r}") from None
    version = value.get("version")
    if type(version) is not int or version > LAST_JSON:
        raise SettingsError(f"infotext must be of a version up to {VERSION}, got {text[:80]!r}")
    return version, value.get("settings", {})


def quoted(value: object) -> str:
    """A value as the WebUI writes it between "key: " and the next comma."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text
