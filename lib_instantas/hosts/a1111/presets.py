"""Presets in the panel: one choice that sets everything below it, and the user's own in the host's data folder."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from modules import paths

from lib_instantas.editor.presets import PresetError, PresetStore
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
from lib_instantas.settings import Settings, SettingsError, names, option, parse_settings
from lib_instantas.texts import TITLES, WORDS

logger = logging.getLogger(__name__)

FIRST = next(iter(PRESETS))


def store() -> PresetStore:
    """Where the user's own presets are kept, a file for each."""
    return PresetStore(Path(paths.data_path) / "instantas" / "settings")


def own_presets() -> dict[str, Values]:
    """The user's presets, by name: in which settings each differs from the defaults. Unreadable ones are left out."""
    kept: dict[str, Values] = {}
    for name in store().names():
        try:
            changes = store().load(name)
            preset_values(changes)
        except (PresetError, SettingsError, OSError) as error:
            logger.warning("InstantAS: the preset %r is left out: %s", name, error)
            continue
        kept[name] = changes
    return kept


def preset_names() -> list[str]:
    """All presets, the user's last."""
    return [*PRESETS, *own_presets()]


def with_preset(values: Values) -> dict[str, Any]:
    """Values of a request, a preset that they name replaced by its settings; SettingsError for one there is not."""
    return expanded(values, own_presets() if KEY in values else None)


def save(name: str, settings: Settings) -> None:
    """Keep the settings that differ from the defaults under a name. Raises PresetError, also for a built-in's name."""
    if name.strip() in PRESETS:
        raise PresetError(f"{name.strip()!r} is built in; take another name")
    store().save(name, differences(settings, preset_values({})))


class PresetRow:
    """The choice, what differs from it, and how one's own are kept. `note` is written with the panel's live line."""

    def __init__(self, elem_id: Callable[[str], str], defaults: Settings, interactive: bool) -> None:
        self.choice = gr.Dropdown(
            label=WORDS["preset"],
            choices=preset_names(),
            value=_matching(defaults),
            elem_id=elem_id(KEY),
            interactive=interactive,
        )
        self.note = gr.HTML(elem_id=elem_id("preset_note"), elem_classes=["instantas-line"])
        with gr.Accordion(TITLES["presets"], open=False, elem_id=elem_id("own_presets")), gr.Row():
            self._name = gr.Textbox(label="Name", elem_id=elem_id("preset_name"), interactive=interactive)
            self._save = gr.Button("Save", elem_id=elem_id("preset_save"), size="sm", interactive=interactive)
            self._delete = gr.Button("Delete", elem_id=elem_id("preset_delete"), size="sm", interactive=interactive)
        self._said = gr.HTML(elem_id=elem_id("preset_said"), elem_classes=["instantas-line"])
        for component in (self.choice, self._name):
            component.do_not_save_to_config = True

    def connect(self, by_name: Mapping[str, Any]) -> None:
        """A choice sets the components of all settings that belong to a preset; the buttons keep what they show."""
        quiet: dict[str, Any] = {"show_progress": False, "queue": False}
        set_by_presets = [by_name[name] for name in PRESET_NAMES]
        everything = [by_name[name] for name in names()]
        self.choice.input(_values_of, self.choice, set_by_presets, **quiet)
        self.choice.focus(lambda: gr.update(choices=preset_names()), None, self.choice, **quiet)
        self._save.click(_save_here, [self._name, *everything], [self.choice, self._said], **quiet)
        self._delete.click(_delete_here, [self._name], [self.choice, self._said], **quiet)


def note_for(chosen: str | None, values: Sequence[Any]) -> str:
    """What the chosen preset is for, and what of it has been changed; empty while a value is wrong."""
    changes = changes_by_name(None if chosen in PRESETS else own_presets()).get(chosen or "")
    if changes is None:
        return ""
    try:
        changed = differences(_settings(values), preset_values(changes))
    except SettingsError:
        return ""
    about = PRESETS[chosen].about if chosen in PRESETS else "A preset of your own."
    if not changed:
        return paragraph(about)
    told = ", ".join(f"{option(name).field_info.extra['label']} {value}" for name, value in changed.items())
    return paragraph(f"{about} Changed here: {told}.")


def paragraph(text: str) -> str:
    """A line of text for the page."""
    return f"<p>{html.escape(text)}</p>"


def _matching(settings: Settings) -> str | None:
    """The built-in preset that these settings are, if any."""
    return next((name for name, preset in PRESETS.items() if not differences(settings, preset.values)), None)


def _values_of(chosen: str) -> list[Any]:
    values = with_preset({KEY: chosen})
    return [values[name] for name in PRESET_NAMES]


def _settings(values: Sequence[Any]) -> Settings:
    return parse_settings({name: value for name, value in zip(names(), values, strict=True) if value is not None})


def _save_here(name: str, *values: Any) -> tuple[Any, str]:
    try:
        save(name, _settings(values))
    except (PresetError, SettingsError, OSError) as error:
        return gr.update(), paragraph(str(error))
    return gr.update(choices=preset_names(), value=name.strip()), paragraph(f"Saved {name.strip()}.")


def _delete_here(name: str) -> tuple[Any, str]:
    try:
        store().delete(name)
    except (PresetError, OSError) as error:
        return gr.update(), paragraph(str(error))
    return gr.update(choices=preset_names(), value=FIRST), paragraph(f"Deleted {name.strip()}.")
