"""One's own presets: kept in the host's data folder, renamed, taken along in a file, and brought in from one."""

from __future__ import annotations

import base64
import html
import logging
from collections.abc import Callable, Collection, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr
from modules import paths

from lib_instantas.editor.presets import MAX_NAME, MAX_PRESETS, PresetError, PresetStore, file_name
from lib_instantas.hosts.a1111.language import here, reason
from lib_instantas.preset_files import LARGEST_FILE, changes_in, from_file, kept, to_file
from lib_instantas.presets import PRESETS, Values, differences, preset_values
from lib_instantas.settings import Settings, SettingsError, names, parse_settings
from lib_instantas.texts import messages
from lib_instantas.texts.message import joined
from lib_instantas.texts.panel import TITLES, WORDS

logger = logging.getLogger(__name__)

FIRST = next(iter(PRESETS))

FILE = "InstantAS presets.json"
"""What a file of presets is called that the page offers."""


def store() -> PresetStore:
    """Where the user's own presets are kept, a file for each."""
    return PresetStore(Path(paths.data_path) / "instantas" / "settings")


def own_presets() -> dict[str, Values]:
    """The user's presets, by name: in which settings each differs from the defaults. Unreadable ones are left out."""
    readable: dict[str, Values] = {}
    for name in store().names():
        try:
            readable[name] = changes_in(store().load(name))
        except (PresetError, SettingsError, OSError) as error:
            logger.warning("InstantAS: the preset %r is left out: %s", name, error)
    return readable


def preset_names() -> list[str]:
    """All presets, the user's last."""
    return [*PRESETS, *own_presets()]


def save(name: str, settings: Settings) -> None:
    """Keep the settings that differ from the defaults under a name. Raises PresetError, also for a built-in's name."""
    _refuse_built_in(name)
    store().save(name, kept(differences(settings, preset_values({}))))


def rename(name: str | None, new: str) -> None:
    """Call one of the user's presets otherwise. Raises PresetError, also where the new name is taken."""
    if name is None or name in PRESETS:
        raise PresetError(messages.NOT_YOUR_OWN(name=repr(name)))
    _refuse_built_in(new)
    store().rename(name, new)


def bring_in(content: bytes) -> dict[str, str]:
    """Keep the presets of a file: the names that they have there, and under which they are here now.

    Nothing that is here is overwritten: another preset of the same name stays, and the new one gets a number. Nothing
    is kept unless all of them can be. Raises SettingsError or PresetError, naming the preset.
    """
    given, here = from_file(content), own_presets()
    for name in given:
        file_name(name)
    placed = {name: _place(name, changes, here) for name, changes in given.items()}
    new = {place: given[name] for name, place in placed.items() if place not in here}
    if len(store().names()) + len(new) > MAX_PRESETS:
        raise PresetError(messages.TOO_MANY_MORE(most=MAX_PRESETS, count=len(new)))
    for place, changes in new.items():
        store().save(place, kept(changes))
    return placed


def _place(name: str, changes: Values, here: Mapping[str, Values]) -> str:
    """The name under which a preset of a file has its place: its own, or with a number where that is another's."""
    taken = {*PRESETS, *store().names()}
    for number in count(1):
        place = name if number == 1 else f"{name[: MAX_NAME - 6].rstrip()} ({number})"
        if place not in taken or here.get(place) == changes:
            return place
    raise AssertionError


def _refuse_built_in(name: str) -> None:
    if name.strip() in PRESETS:
        raise PresetError(messages.BUILT_IN(name=repr(name.strip())))


class OwnPresets:
    """The group in the panel: a name, and what can be done with it; what was done is said below."""

    def __init__(self, elem_id: Callable[[str], str], interactive: bool) -> None:
        def button(kind: Any, name: str, label: str, **more: Any) -> Any:
            return kind(label, elem_id=elem_id(f"preset_{name}"), size="sm", interactive=interactive, **more)

        with gr.Accordion(TITLES["presets"], open=False, elem_id=elem_id("own_presets")):
            with gr.Row():
                self.name = gr.Textbox(label="Name", elem_id=elem_id("preset_name"), interactive=interactive)
            with gr.Row(elem_classes=["instantas-buttons"]):
                self._save = button(gr.Button, "save", "Save")
                self._rename = button(gr.Button, "rename", WORDS["rename_preset"])
                self._delete = button(gr.Button, "delete", "Delete")
            with gr.Row(elem_classes=["instantas-buttons"]):
                self._export = button(gr.Button, "export", WORDS["export_presets"])
                self._import = button(gr.UploadButton, "import", WORDS["import_presets"], file_types=[".json"])
        self._said = gr.HTML(elem_id=elem_id("preset_said"), elem_classes=["instantas-line"])
        self.name.do_not_save_to_config = True

    def connect(self, choice: Any, by_name: Mapping[str, Any], quiet: Mapping[str, Any]) -> None:
        """`choice` is where presets are chosen; what it offers follows what is kept."""
        everything = [by_name[name] for name in names()]
        told = [choice, self._said]
        self._save.click(_save_here, [self.name, *everything], told, **quiet)
        self._rename.click(_rename_here, [choice, self.name], told, **quiet)
        self._delete.click(_delete_here, [self.name], told, **quiet)
        self._export.click(_export_here, None, self._said, **quiet)
        self._import.upload(_import_here, self._import, told, **quiet)


def paragraph(text: str) -> str:
    """A line of text for the page."""
    return f"<p>{html.escape(text)}</p>"


def settings_of(values: Collection[Any]) -> Settings:
    """The settings that the panel's components show, in their order; SettingsError if one is wrong."""
    return parse_settings({name: value for name, value in zip(names(), values, strict=True) if value is not None})


def _save_here(name: str, *values: Any) -> tuple[Any, str]:
    try:
        save(name, settings_of(values))
    except (PresetError, SettingsError, OSError) as error:
        return gr.update(), paragraph(reason(error))
    return _choosing(name.strip()), paragraph(here(messages.PRESET_SAVED(name=name.strip())))


def _rename_here(chosen: str | None, name: str) -> tuple[Any, str]:
    try:
        rename(chosen, name)
    except (PresetError, OSError) as error:
        return gr.update(), paragraph(reason(error))
    return _choosing(name.strip()), paragraph(here(messages.PRESET_RENAMED(name=chosen, new=name.strip())))


def _delete_here(name: str) -> tuple[Any, str]:
    try:
        store().delete(name)
    except (PresetError, OSError) as error:
        return gr.update(), paragraph(reason(error))
    return _choosing(FIRST), paragraph(here(messages.PRESET_DELETED(name=name.strip())))


def _export_here() -> str:
    own = own_presets()
    if not own:
        return paragraph(here(messages.NO_OWN_PRESETS()))
    data = base64.b64encode(to_file(own).encode()).decode()
    link = f'<a href="data:application/json;base64,{data}" download="{FILE}">{FILE}</a>'
    return f"<p>{link}: {html.escape(', '.join(own))}</p>"


def _import_here(file: Any) -> tuple[Any, str]:
    """Gradio hands over a path, or something that has it as its name."""
    try:
        with Path(getattr(file, "name", file)).open("rb") as opened:
            placed = bring_in(opened.read(LARGEST_FILE + 1))
    except (PresetError, SettingsError, OSError) as error:
        return gr.update(), paragraph(reason(error))
    names = (name if name == place else messages.IMPORTED_AS(name=name, place=place) for name, place in placed.items())
    told = messages.PRESETS_IMPORTED(names=joined(names, messages.ALSO)) if placed else messages.HOLDS_NONE()
    return gr.update(choices=preset_names()), paragraph(here(told))


def _choosing(name: str) -> Any:
    return gr.update(choices=preset_names(), value=name)
