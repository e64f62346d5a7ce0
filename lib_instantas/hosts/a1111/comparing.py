"""With and without: the same seed twice in one job, by the host's own generation, for the page to show side by side."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from typing import Any

import gradio as gr
from modules import processing, scripts, shared

from lib_instantas.errors import told
from lib_instantas.hosts.a1111.generation import generation_of
from lib_instantas.hosts.a1111.language import here, is_asked_by_the_api
from lib_instantas.hosts.a1111.own_presets import preset_names
from lib_instantas.hosts.a1111.presets import with_preset
from lib_instantas.hosts.a1111.samplers import refusal
from lib_instantas.hosts.a1111.script import arguments_of, change_argument
from lib_instantas.hosts.a1111.settings_page import parse_arguments
from lib_instantas.hosts.a1111.upscaling import upscaling_of
from lib_instantas.presets import KEY
from lib_instantas.texts import messages
from lib_instantas.texts.message import Message
from lib_instantas.texts.panel import WORDS
from lib_instantas.tiling import LATENT_SCALE, Size, round_up

logger = logging.getLogger(__name__)

TITLE = WORDS["comparison"]
"""Of the entry in the host's list of scripts; `javascript/instantas_compare.js` knows it too."""

WITHOUT = WORDS["without"]

NOTHING = messages.NOTHING_TO_COMPARE()

OWN_TO_A_COPY = ("extra_generation_params", "override_settings", "styles", "comments", "init_images")
"""What a generation changes in place, and shallow copies would share."""

BESIDE_GRIDS = ("images", "infotexts")
OF_EACH_PICTURE = (*BESIDE_GRIDS, "all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds")
"""What a host says of each of its pictures; among those of the first kind a grid may come before them."""


class ComparisonScript(scripts.Script):
    """Makes what the panel says, switched on, and then the same without it or with a preset."""

    def title(self) -> str:
        """The name in the page's list of scripts and in the API's `script_name`."""
        return TITLE

    def show(self, is_img2img: bool) -> Any:
        """Where the extension works at all."""
        return refusal() is None

    def ui(self, is_img2img: bool) -> list[Any]:
        """What the second picture is made with."""
        beside = gr.Dropdown(
            label=WORDS["beside"], choices=[WITHOUT, *preset_names()], value=WITHOUT, elem_id=self.elem_id("beside")
        )
        beside.do_not_save_to_config = True
        return [beside]

    def run(self, p: Any, beside: str = WITHOUT, *_: Any) -> Any:
        """Both generations; where both would be the same, interrupted, or where the second fails, what there is.

        SettingsError for no such preset.
        """
        changes = {"enabled": False} if beside == WITHOUT else {**with_preset({KEY: beside}), "enabled": True}
        processing.fix_seed(p)
        one, other = _changed(p, {"enabled": True}), _changed(p, changes)
        are_alike = parse_arguments(arguments_of(one)) == parse_arguments(arguments_of(other))
        shared.state.job_count = 2 * p.n_iter
        first = processing.process_images(one)
        if shared.state.interrupted or getattr(shared.state, "stopping_generation", False):
            return first
        if are_alike:
            return _alone(p, first, NOTHING, messages.SAME_AS_PRESET(preset=beside))
        if beside == WITHOUT and not _acts(one):
            return _alone(p, first, NOTHING, _nothing_changes(first))
        if beside == WITHOUT:
            other.height, other.width = _canvas(p)
        try:
            second = processing.process_images(other)
        except Exception as error:
            logger.exception("InstantAS: the second picture of the comparison failed")
            second_is = Message(WITHOUT) if beside == WITHOUT else beside
            return _alone(p, first, messages.NOT_MADE(), messages.BESIDE(beside=second_is, reason=told(error)))
        if not (_acts(one) or _acts(other)):
            return _alone(p, first, NOTHING, _nothing_changes(first))
        return _both(first, second, p.batch_size * p.n_iter)


def _acts(p: Any) -> bool:
    """Whether what was made by a processing object is another picture than without the extension."""
    generation = generation_of(p)
    return generation is not None and generation.acts


def _nothing_changes(made: Any) -> Message:
    return messages.SAME_WITHOUT(size=f"{made.width}x{made.height}")


def _alone(p: Any, made: Any, title: Message, why: str) -> Any:
    """What was made first, by itself, and below it why nothing is beside it; the page looks for the title."""
    comment = messages.SAID_BY(message=messages.OF(place=title, problem=why))
    said = comment if is_asked_by_the_api(p) else here(comment)
    made.comments = f"{getattr(made, 'comments', '')}{said}\n"
    return made


def _changed(p: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a processing object on which no generation has begun, with some of the panel's settings changed."""
    other = copy(p)
    for name in OWN_TO_A_COPY:
        if getattr(p, name, None) is not None:
            setattr(other, name, copy(getattr(p, name)))
    for name, value in changes.items():
        change_argument(other, name, value)
    return other


def _canvas(p: Any) -> Size:
    """(height, width) in image pixels of the latents that the extension would make: from the same noise."""
    settings = parse_arguments(arguments_of(p))
    upscaling = upscaling_of(p, settings)
    if upscaling is not None:
        return upscaling.canvas
    height, width = settings.height or p.height, settings.width or p.width
    return round_up(height, LATENT_SCALE), round_up(width, LATENT_SCALE)


def _both(first: Any, second: Any, count: int) -> Any:
    """The pictures of both, without grids and what else a host puts beside them; each with what is known of it."""
    for name in OF_EACH_PICTURE:
        begin, other = (one.index_of_first_image if name in BESIDE_GRIDS else 0 for one in (first, second))
        if hasattr(first, name):
            both = [*getattr(first, name)[begin : begin + count], *getattr(second, name)[other : other + count]]
            setattr(first, name, both)
    first.index_of_first_image = 0
    first.info = first.infotexts[0]
    return first
