"""X/Y/Z plot axes, one for presets and one for each setting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from modules import scripts

from lib_instantas.hosts.a1111.language import reason
from lib_instantas.hosts.a1111.own_presets import preset_names
from lib_instantas.hosts.a1111.presets import with_preset
from lib_instantas.hosts.a1111.script import change_argument
from lib_instantas.presets import KEY
from lib_instantas.settings import SettingsError, kind, names, option, parse_settings

logger = logging.getLogger(__name__)

PREFIX = "[InstantAS] "


def add_axes() -> None:
    """Add our axes to the host's X/Y/Z script, once; where there is no such script, nothing happens."""
    grid = _xyz_module()
    if grid is None or any(axis.label.startswith(PREFIX) for axis in grid.axis_options):
        return
    grid.axis_options.append(_preset_axis(grid.AxisOption))
    grid.axis_options.extend(_axis(grid.AxisOption, name) for name in names())


def _xyz_module() -> Any:
    for script in scripts.scripts_data:
        if hasattr(script.module, "axis_options") and hasattr(script.module, "AxisOption"):
            return script.module
    logger.info("InstantAS: this host has no X/Y/Z plot")
    return None


def _preset_axis(axis_option: Any) -> Any:
    return axis_option(PREFIX + "Preset", str, _apply(KEY), confirm=_confirm(KEY), choices=preset_names)


def _axis(axis_option: Any, name: str) -> Any:
    field = option(name)
    choices = field.field_info.extra.get("choices") or (("True", "False") if kind(field) is bool else None)
    return axis_option(
        PREFIX + str(field.field_info.extra["label"]),
        partial(_as_typed, kind(field)),
        _apply(name),
        confirm=_confirm(name),
        choices=(lambda: list(choices)) if choices else None,
    )


def _as_typed(wanted: type, text: Any) -> Any:
    """What people type as a value of this kind; anything else stays as it is, to be refused by name."""
    if wanted is bool:
        return {"true": True, "false": False}.get(str(text).strip().lower(), text)
    try:
        return wanted(text)
    except ValueError:
        return text


def _apply(name: str) -> Callable[[Any, Any, Sequence[Any]], None]:
    def apply(p: Any, value: Any, values: Sequence[Any]) -> None:
        change_argument(p, name, value)

    return apply


def _confirm(name: str) -> Callable[[Any, Sequence[Any]], None]:
    """Refuse a bad value before the first picture is made."""

    def confirm(p: Any, values: Sequence[Any]) -> None:
        for value in values:
            try:
                parse_settings(with_preset({name: value}))
            except SettingsError as error:
                raise RuntimeError(reason(error)) from None

    return confirm
