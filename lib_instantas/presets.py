"""Presets: one name for all the settings that make a kind of picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib_instantas.errors import SettingsError
from lib_instantas.settings import Settings, names, parse_settings
from lib_instantas.texts import messages

KEY = "preset"
"""The name under which the API, the command line and X/Y/Z plots take a preset, beside those of the settings."""

OF_ONE_PICTURE = ("enabled", "width", "height", "regions", "style_reference", "compose_background")
OF_THE_MACHINE = ("tile_batch", "vae", "vae_tile", "vae_mode")
"""What a preset leaves as it is: a picture's own size and regions, and what a card has memory for."""

PRESET_NAMES = tuple(name for name in names() if name not in (*OF_ONE_PICTURE, *OF_THE_MACHINE))
"""The settings that a preset sets, all of them."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Preset:
    """What it is for, and the settings in which it differs from the defaults."""

    about: str
    changes: Values

    @property
    def values(self) -> dict[str, Any]:
        """Every setting of PRESET_NAMES."""
        return preset_values(self.changes)


PRESETS: dict[str, Preset] = {
    "Standard": Preset("Landscapes, crowds and patterns: tiles of the whole picture from the first step on.", {}),
    "Wide or tall": Preset(
        "One picture of any shape: the whole is made small first, then the tiles add detail.",
        {"compose": True, "fidelity": 1.0},
    ),
    "Upscale": Preset(
        "The picture twice as large, finished in tiles: the given one in img2img, with a denoising strength of 0.2 to "
        "0.4, or the one that txt2img has made.",
        {"upscale_by": 2.0, "fidelity": 1.0},
    ),
    "Seamless texture": Preset(
        "All four borders meet, so that the picture can be laid side by side.", {"wrap": "both"}
    ),
    "360° panorama": Preset(
        "The left and the right border meet; make it twice as wide as high.", {"wrap": "horizontal"}
    ),
    "One large subject": Preset(
        "A portrait or a building that fills a large picture (ScaleCrafter); as slow as without tiles, or up to half "
        "as slow again.",
        {"method": "ScaleCrafter"},
    ),
    "As in the paper": Preset(
        "InstantAS as published: tiles of the model's own size on a ring, which move by a small step.",
        {"edges": "ring", "schedule": "cyclic", "gamma": 0.015, "fit": "native", "hold": True},
    ),
}


def preset_values(changes: Values) -> dict[str, Any]:
    """Every setting that a preset sets: its own, and the declared defaults of the others.

    Raises SettingsError for a value that no setting has.
    """
    settings = parse_settings(changes)
    return {name: getattr(settings, name) for name in PRESET_NAMES}


def changes_by_name(own: Mapping[str, Values] | None = None) -> dict[str, Values]:
    """In which settings each preset differs from the defaults: those that are built in, then the user's `own`."""
    return {**{name: preset.changes for name, preset in PRESETS.items()}, **(own or {})}


def expanded(values: Values, own: Mapping[str, Values] | None = None) -> dict[str, Any]:
    """Values with the preset that they name replaced by its settings, which what they say themselves overrides.

    `own` are the user's, by name: the settings in which each differs from the defaults. Raises SettingsError for a name
    that there is not.
    """
    rest = {name: value for name, value in values.items() if name != KEY}
    if KEY not in values:
        return rest
    known = changes_by_name(own)
    name = values[KEY]
    if not isinstance(name, str) or name not in known:
        choices = messages.ONE_OF(choices=", ".join(known))
        raise SettingsError(messages.MUST_BE(name=KEY, allowed=choices, value=repr(name)[:80]))
    return {**preset_values(known[name]), **rest}


def differences(settings: Settings, values: Values) -> dict[str, Any]:
    """Which of a preset's settings have another value here, and which."""
    now = settings.dict()
    return {name: now[name] for name in PRESET_NAMES if now[name] != values[name]}
