"""What the editor's JavaScript must know about the page it stands in."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from lib_instantas.settings import is_free_text, names, option

ROOT = "instantas_editor_root"
"""Element id of the editor's place in the page."""

HIDDEN = "instantas-hidden"
"""CSS class of components that only carry values between the page and Python."""

NOT_OF_THE_GRID = (
    *("enabled", "tile_batch", "width", "height", "style_alignment", "vae", "vae_tile", "vae_mode"),
    *("dilation", "dilated_levels", "region_binding"),
)
"""Settings that do not change where the grid stands, besides those that are free text."""


@dataclass(frozen=True)
class Target:
    """A place in the page that makes pictures. All but `label` are element ids or the beginnings of some.

    `results` is a CSS selector of the pictures that it has made, the newest first. A component of a setting has the
    id `<prefix>_<name>`, the regions' text `<prefix>_regions`, the button that opens the editor
    `<prefix>_edit_regions`. A `live` target is given every change at once, others only what is sent.
    """

    id: str
    label: str
    prefix: str
    steps: str = ""
    seed: str = ""
    size: tuple[str, str] = ("", "")
    results: str = ""
    live: bool = False


@dataclass(frozen=True)
class PageConfig:
    """The targets, the tab's name, and whether the last result is shown under the regions from the start."""

    targets: tuple[Target, ...]
    tab: str = "InstantAS"
    follow_result: bool = False
    defaults: dict[str, Any] = field(default_factory=lambda: {name: option(name).default for name in _grid_settings()})
    choices: dict[str, list[str]] = field(default_factory=lambda: _choices())

    def as_html(self) -> str:
        """The element in which the JavaScript builds the editor."""
        return f'<div id="{ROOT}" data-config="{html.escape(json.dumps(asdict(self)))}"></div>'


def _grid_settings() -> list[str]:
    return [name for name in names() if name not in NOT_OF_THE_GRID and not is_free_text(name)]


def _choices() -> dict[str, list[str]]:
    extras = {name: option(name).field_info.extra for name in _grid_settings()}
    return {name: list(extra["choices"]) for name, extra in extras.items() if "choices" in extra}
