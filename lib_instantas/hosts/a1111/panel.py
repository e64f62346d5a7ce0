"""The accordion: one component per setting, and a line below them that says what will happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lib_instantas.agreement import CAN_BE_IDLE, DECIDING, why_idle
from lib_instantas.components import component_of
from lib_instantas.editor.page import HIDDEN
from lib_instantas.hosts.a1111.composing import upscalers
from lib_instantas.hosts.a1111.language import here
from lib_instantas.hosts.a1111.live_line import FOLLOWED, GIVEN, line_for
from lib_instantas.hosts.a1111.own_presets import paragraph
from lib_instantas.hosts.a1111.presets import PresetRow, note_for
from lib_instantas.hosts.a1111.samplers import refusal
from lib_instantas.hosts.a1111.settings_page import choices_here, default_settings, help_here
from lib_instantas.hosts.a1111.style import add_picture_upload
from lib_instantas.hosts.a1111.upscaling import picture_upscalers
from lib_instantas.infotext import KEY, from_text
from lib_instantas.settings import Settings, SettingsError, names, option, parse_settings
from lib_instantas.texts.panel import HINTS, NOTES, TITLES, WORDS

try:
    from modules.ui_components import InputAccordion
except ImportError:
    InputAccordion = None

SWITCH = "enabled"

REGIONS = "regions"
"""Drawn on the extension's own tab; the component only carries them."""

SIZE = (("width", "height"),)
"""What the page's own controls do not offer; where it is in use, the live line says so."""

FIRST = (("compose",),)
DETAILS = (
    ("method",),
    ("tile", "tile_batch", "fit"),
    ("schedule", "edges", "movement"),
    ("gamma", "overlap"),
    ("dilation", "dilated_levels"),
    ("hold", "told_size"),
)
UPSCALE = (("upscale_by", "upscaler"), ("fidelity", "noise_inversion"))
COMPOSE = (
    ("compose_strength", "compose_guidance"),
    ("compose_upscaler",),
    ("compose_background",),
    ("compose_lora", "compose_tiles_lora"),
)
STYLE = (("style_alignment",), ("style_reference",))
VAE = (("vae", "vae_mode", "vae_tile"),)
"""What works by itself, folded away; a setting that is named nowhere gets a row of its own after DETAILS."""


BUTTONS = {name: WORDS[name] for name in ("edit_regions", "clear_regions", "compare")}
"""What the page's scripts do when they are pressed, but for the second."""


@dataclass(frozen=True)
class FromInfotext:
    """The value of one setting in the parsed infotext. Pictures made without the extension switch it off.

    Equal for both tabs, by which the host knows which component of one tab goes into which of the other.
    """

    name: str

    def __call__(self, params: Mapping[str, Any]) -> Any:
        """The value to put into the component; None leaves it as it is."""
        if KEY not in params:
            return False if self.name == "enabled" else None
        return getattr(from_text(params[KEY]), self.name)


def note(text: str) -> None:
    """A sentence above some settings that says when to touch them."""
    gr.HTML(paragraph(text), elem_classes=["instantas-line"])


class Panel:
    """The components of one tab. `components` is in the order of the settings."""

    def __init__(self, elem_id: Callable[[str], str], tab: str) -> None:
        self.tab = tab
        self._elem_id = elem_id
        settings = default_settings()
        self._defaults = settings.dict()
        self._by_name: dict[str, Any] = {}
        self._given: dict[str, Any] = {}
        reason = refusal()
        with self._accordion(interactive=reason is None):
            self.presets = PresetRow(elem_id, settings, interactive=reason is None)
            self._settings(interactive=reason is None)
        self.presets.connect(self._by_name)
        if reason is None:
            self._follow_what_decides(settings)
        self.line.value = paragraph(f"InstantAS {here(reason)}" if reason else "")

    @property
    def components(self) -> list[Any]:
        """One component per setting, in their order."""
        return [self._by_name[name] for name in names()]

    def paste_fields(self) -> list[tuple[Any, FromInfotext]]:
        """Which component takes what from a pasted infotext."""
        return [(self._by_name[name], FromInfotext(name)) for name in names()]

    def follow(self, page_controls: Mapping[str, Any]) -> None:
        """Write the line anew whenever a setting, or a control of the page that matters, changes."""
        if refusal() is not None:
            return
        known = {name: page_controls.get(f"{self.tab}_{name}") for name in FOLLOWED[self.tab]}
        followed = {name: control for name, control in known.items() if control is not None} | self._given

        def write(preset: str | None, *values: Any) -> tuple[str, str]:
            ours, of_page = values[: len(self._by_name)], values[len(self._by_name) :]
            line = here(line_for(ours, dict(zip(followed, of_page, strict=True))))
            return paragraph(line), note_for(preset, ours, self._elem_id)

        inputs = [self.presets.choice, *self.components, *followed.values()]
        for component in inputs:
            component.change(write, inputs, [self.line, self.presets.note], show_progress=False, queue=False)

    def _accordion(self, interactive: bool) -> Any:
        if InputAccordion is not None and interactive:
            accordion = InputAccordion(False, label="InstantAS", elem_id=self._elem_id(SWITCH))
            self._by_name[SWITCH] = accordion
            return accordion
        return gr.Accordion("InstantAS", open=False, elem_id=self._elem_id("accordion"))

    def _settings(self, interactive: bool) -> None:
        switch = [] if SWITCH in self._by_name else [(SWITCH,)]
        placed = {
            SWITCH,
            REGIONS,
            *(name for row in (*FIRST, *SIZE, *UPSCALE, *COMPOSE, *DETAILS, *STYLE, *VAE) for name in row),
        }
        self._rows([*switch, *FIRST, (REGIONS,)], interactive)
        self.line = gr.HTML(elem_id=self._elem_id("line"), elem_classes=["instantas-line"])
        with gr.Row(elem_classes=["instantas-buttons"]):
            edit, clear, compare = (
                gr.Button(label, elem_id=self._elem_id(name), size="sm", interactive=interactive, tooltip=HINTS[name])
                for name, label in BUTTONS.items()
            )
        clear.click(lambda: "", None, self._by_name[REGIONS], show_progress=False, queue=False)
        for button in (edit, clear, compare):
            button.do_not_save_to_config = True
        with gr.Accordion(TITLES["size"], open=False, elem_id=self._elem_id("size_details")):
            note(NOTES["size"])
            self._rows(SIZE, interactive)
        with gr.Accordion("Upscale", open=False, elem_id=self._elem_id("upscale_details")):
            note(NOTES["upscale" if self.tab == "img2img" else "upscale_afterwards"])
            self._rows(UPSCALE, interactive)
        with gr.Accordion(TITLES["compose"], open=False, elem_id=self._elem_id("compose_details")):
            note(NOTES["compose"])
            self._rows(COMPOSE, interactive)
        with gr.Accordion(TITLES["tiles"], open=False, elem_id=self._elem_id("details")):
            note(NOTES["tiles"])
            self._rows([*DETAILS, *((name,) for name in names() if name not in placed)], interactive)
        with gr.Accordion(TITLES["style"], open=False, elem_id=self._elem_id("style")):
            note(NOTES["style"])
            self._rows(STYLE, interactive)
            add_picture_upload(self._by_name["style_reference"], self._elem_id("style_picture"), interactive)
        with gr.Accordion(TITLES["vae"], open=False, elem_id=self._elem_id("vae_details")):
            note(NOTES["vae"])
            self._rows(VAE, interactive)
        if self.tab == "img2img":
            given = gr.Textbox("", label=WORDS["given"], elem_id=self._elem_id(GIVEN), elem_classes=[HIDDEN])
            self._given = {GIVEN: given}
        for component in (*self._by_name.values(), *self._given.values()):
            component.do_not_save_to_config = True  # The settings page keeps the defaults, and only it.

    def _follow_what_decides(self, settings: Settings) -> None:
        """Only what does something beside the others can be changed."""

        def usable(*values: Any) -> list[Any]:
            try:
                chosen = parse_settings(dict(zip(DECIDING, values, strict=True)))
            except SettingsError:  # said by the line
                return [gr.update() for _ in CAN_BE_IDLE]
            return [gr.update(interactive=self._acts(name, chosen)) for name in CAN_BE_IDLE]

        deciding, components = ([self._by_name[name] for name in some] for some in (DECIDING, CAN_BE_IDLE))
        for name, component in zip(CAN_BE_IDLE, components, strict=True):
            component.interactive = self._acts(name, settings)
        for one in deciding:
            one.change(usable, deciding, components, show_progress=False, queue=False)

    def _acts(self, name: str, settings: Settings) -> bool:
        """Whether a setting makes a difference beside others; there is no noise to invert without a given picture."""
        lacks_picture = self.tab == "txt2img" and settings.upscale_by == 1
        return why_idle(settings, name) is None and not (name == "noise_inversion" and lacks_picture)

    def _rows(self, rows: Sequence[Sequence[str]], interactive: bool) -> None:
        for row in rows:
            with gr.Row():
                for name in row:
                    if name in names():
                        self._by_name[name] = self._component(name, interactive)

    def _component(self, name: str, interactive: bool) -> Any:
        extra = option(name).field_info.extra
        shared = {"label": extra["label"], "tooltip": help_here(name), "value": self._defaults[name]}
        shared |= {"elem_id": self._elem_id(name), "interactive": interactive}
        if name == REGIONS:
            shared["elem_classes"] = [HIDDEN]
        of_host = {"compose_upscaler": upscalers, "upscaler": picture_upscalers}
        component, limits = component_of(name, of_host[name]() if name in of_host else choices_here(name))
        return component(**limits, **shared)
