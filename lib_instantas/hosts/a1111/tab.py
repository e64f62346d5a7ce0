"""The tab "InstantAS" of the WebUI: the region editor."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from modules import extra_networks, paths, prompt_parser, sd_models
from modules.sd_hijack import model_hijack

from lib_instantas.editor.page import PageConfig, Target
from lib_instantas.editor.presets import PresetStore
from lib_instantas.editor.service import EditorService, TokenCount
from lib_instantas.editor.tab import build_tab
from lib_instantas.hosts.a1111.chosen import native_side_of_choice
from lib_instantas.hosts.a1111.language import words
from lib_instantas.hosts.a1111.native import SD1

LABEL, ID = "InstantAS", "instantas"

VIEWER = "instantas_viewer_root"
"""Element id of the place in which pictures are looked at (`lib_instantas/browser/viewer.mjs`)."""

STEPS = 20
"""Steps for which a prompt's schedule is laid out to count its tokens; the longest of its prompts counts."""


def on_ui_tabs() -> list[tuple[Any, str, str]]:
    """The tab as the host wants it: its page, its label, its id."""
    with gr.Blocks(analytics_enabled=False) as page:
        build_tab(service(), PageConfig(tuple(_target(tab) for tab in ("txt2img", "img2img")), tab=LABEL))
        gr.HTML(f'<div id="{VIEWER}"></div>')
    return [(page, LABEL, ID)]


@cache
def service() -> EditorService:
    """What answers the editor, with presets in the host's data folder."""
    return EditorService(
        PresetStore(Path(paths.data_path) / "instantas" / "presets"), _native_side, _count_tokens, words
    )


def _target(tab: str) -> Target:
    return Target(
        tab,
        tab,
        prefix=f"script_{tab}_instantas",
        steps=f"{tab}_steps",
        seed=f"{tab}_seed",
        size=(f"{tab}_width", f"{tab}_height"),
        results=f"#{tab}_gallery img",
    )


def _native_side() -> int:
    return native_side_of_choice() or SD1


def _count_tokens(text: str) -> TokenCount:
    """Counted as the page's own counters do; 0 of 75 before a model is loaded."""
    counter = _counter()
    if counter is None:
        return TokenCount(0, 75)
    counts = [counter(prompt) for prompt in _prompts_of(text)]
    return TokenCount(*max(counts, key=lambda count: count[0]))


def _counter() -> Callable[[str], tuple[int, int]] | None:
    """What counts the tokens of one prompt: on Forge the model, elsewhere the host's text encoder, or nothing."""
    own = getattr(sd_models.model_data.sd_model, "get_prompt_lengths_on_ui", None)
    if own is not None:
        return own
    return None if getattr(model_hijack, "clip", None) is None else model_hijack.get_prompt_lengths


def _prompts_of(text: str) -> list[str]:
    """What a text says at the different steps; as it stands while its schedule cannot be read, as when it is typed."""
    text, _ = extra_networks.parse_prompt(text)
    try:
        (schedule,) = prompt_parser.get_learned_conditioning_prompt_schedules([text], STEPS)
    except Exception:  # whatever the host's parser raises about a half-typed text
        return [text]
    return [prompt for _, prompt in schedule]
