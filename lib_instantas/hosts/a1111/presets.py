"""Presets in the panel: one choice that sets everything below it, and marks at what has been changed since."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import gradio as gr

from lib_instantas.hosts.a1111.language import here
from lib_instantas.hosts.a1111.own_presets import OwnPresets, own_presets, paragraph, preset_names, settings_of
from lib_instantas.presets import (
    KEY,
    PRESET_NAMES,
    PRESETS,
    Values,
    changes_by_name,
    differences,
    expanded,
    preset_values,
)
from lib_instantas.settings import Settings, SettingsError, names, option
from lib_instantas.texts import messages
from lib_instantas.texts.message import Message
from lib_instantas.texts.panel import WORDS

QUIET: dict[str, Any] = {"show_progress": False, "queue": False}

ElementId = Callable[[str], str]
"""The id in the page of the part of a tab's panel that has a name."""


def with_preset(values: Values) -> dict[str, Any]:
    """Values of a request, a preset that they name replaced by its settings; SettingsError for one there is not."""
    return expanded(values, own_presets() if KEY in values else None)


class PresetRow:
    """The choice, what differs from it, and how one's own are kept. `note` is written with the panel's live line."""

    def __init__(self, elem_id: ElementId, defaults: Settings, interactive: bool) -> None:
        chosen = _matching(defaults)
        self.choice = gr.Dropdown(
            label=WORDS["preset"],
            choices=preset_names(),
            value=chosen,
            elem_id=elem_id(KEY),
            interactive=interactive,
        )
        self.note = gr.HTML(
            note_for(chosen, [getattr(defaults, name) for name in names()], elem_id),
            elem_id=elem_id("preset_note"),
            elem_classes=["instantas-line"],
        )
        self._own = OwnPresets(elem_id, interactive)
        self.choice.do_not_save_to_config = True

    def connect(self, by_name: Mapping[str, Any]) -> None:
        """A choice sets the components of all settings that belong to a preset, and names what can be renamed."""
        set_by_presets = [by_name[name] for name in PRESET_NAMES]
        self.choice.input(_values_of, self.choice, [*set_by_presets, self._own.name], **QUIET)
        self.choice.focus(lambda: gr.update(choices=preset_names()), None, self.choice, **QUIET)
        self._own.connect(self.choice, by_name, QUIET)


def note_for(chosen: str | None, values: Sequence[Any], elem_id: ElementId) -> str:
    """What the chosen preset is for, and what of it has been changed, marked too; empty while a value is wrong.

    Each text is an element of its own, because the host translates whole ones.
    """
    changes = changes_by_name(None if chosen in PRESETS else own_presets()).get(chosen or "")
    if changes is None:
        return ""
    try:
        changed = differences(settings_of(values), preset_values(changes))
    except SettingsError:
        return ""
    about = paragraph(PRESETS[chosen].about if chosen in PRESETS else WORDS["own_preset"])
    if not changed:
        return about
    told = ", ".join(_span(here(_changed_to(name, value))) for name, value in changed.items())
    return f"{about}<p>{_span(WORDS['differs'])} {told}</p>{marks(changed, elem_id)}"


def marks(changed: Collection[str], elem_id: ElementId) -> str:
    """A style that has `style.css` put a mark at these settings, and at the groups that they are folded away in."""
    settings = ", ".join(f"#{elem_id(name)}" for name in changed)
    group = f'[id^="{elem_id("")}"]:not([id$="_enabled"], [id$="_accordion"])'
    return f'<style>{settings}, {group}:has({settings}) > .label-wrap {{ --instantas-mark: " ●"; }}</style>'


def _span(text: str) -> str:
    return f"<span>{html.escape(text)}</span>"


def _changed_to(name: str, value: Any) -> Message:
    """A setting's label and its value, as the panel's components have it."""
    label = Message(option(name).field_info.extra["label"])
    if isinstance(value, bool):
        return (messages.SWITCHED_ON_IN if value else messages.SWITCHED_OFF_IN)(label=label)
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return messages.SET_TO(label=label, value=shown) if shown else messages.EMPTIED_IN(label=label)


def _matching(settings: Settings) -> str | None:
    """The built-in preset that these settings are, if any."""
    return next((name for name, preset in PRESETS.items() if not differences(settings, preset.values)), None)


def _values_of(chosen: str) -> list[Any]:
    values = with_preset({KEY: chosen})
    return [*(values[name] for name in PRESET_NAMES), "" if chosen in PRESETS else chosen]
