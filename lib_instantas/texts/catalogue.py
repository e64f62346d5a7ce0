"""Every text that is translated: what the files in `localizations/` hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from lib_instantas.browser import FOLDER
from lib_instantas.capabilities import Capability
from lib_instantas.methods import METHODS, NAMES
from lib_instantas.presets import PRESETS
from lib_instantas.settings import names, option
from lib_instantas.texts import messages
from lib_instantas.texts.message import OWN, Template
from lib_instantas.texts.panel import HINTS, NOTES, TITLES, WORDS

SCRIPTS = Path(__file__).resolve().parents[2] / "javascript"
"""What the host puts into every page."""

SAID = re.compile(r'\btext\(\s*("(?:[^"\\]|\\.)*")')
"""A text in JavaScript: the first argument of `text`."""

HOSTS_OWN = frozenset({"Width", "Height", "Upscaler", "Upscale", "Name", "Save", "Delete", "Negative prompt"})
"""Words that the host's own language packs translate; ours would stand in the place of theirs on the whole page."""


def all_texts() -> list[str]:
    """The files' keys, in their order: each text once.

    What other parts of the page may say too stands under OWN, but for the panel's labels, which the host replaces as
    they are. Of these HOSTS_OWN are left to the host.
    """
    panel = [text for text in panel_texts() if text not in HOSTS_OWN]
    others = [*message_texts(), *browser_texts()]
    keys = (text if text in panel or is_ours(text) else OWN.format(text) for text in others)
    return [*dict.fromkeys([*panel, *keys])]


def is_ours(text: str) -> bool:
    """Whether a text is a sentence or a phrase that no other part of the page will use."""
    return " " in text and text not in HOSTS_OWN


def panel_texts() -> list[str]:
    """The labels, help and notes of the panel, which the host replaces as they stand."""
    fields = [option(name).field_info.extra for name in names()]
    texts = [text for extra in fields for text in (extra["label"], extra["help"])]
    texts += [preset.about for preset in PRESETS.values()]
    return [*texts, *TITLES.values(), *NOTES.values(), *HINTS.values(), *WORDS.values()]


def message_texts() -> list[str]:
    """The templates of messages, and what is said of single settings and capabilities in them."""
    found = [text for text in vars(messages).values() if isinstance(text, Template)]
    allowed = [str(option(name).field_info.extra.get("allowed", "")) for name in names()]
    abouts = (METHODS[name].about for name in NAMES)
    return [
        *found,
        *filter(None, (*abouts, *allowed)),
        *(text for one in Capability for text in (one.words, one.instead)),
    ]


def browser_texts() -> list[str]:
    """What the scripts of the page and the browser's modules say."""
    return [text for file in _sources() for text in said_in(file.read_text("utf-8"))]


def said_in(source: str) -> list[str]:
    """The texts in a file of JavaScript."""
    return [json.loads(text) for text in SAID.findall(source)]


def _sources() -> Iterable[Path]:
    return [*sorted(SCRIPTS.glob("instantas*.js")), *sorted(FOLDER.glob("*.mjs"))]
