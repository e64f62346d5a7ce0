"""How Gradio shows a setting, by what is declared of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from lib_instantas.settings import kind, option

TYPED = ("width", "height")
"""Numbers that are typed, not slid to: they are meant to the pixel."""


def component_of(name: str, choices: Sequence[str] | None = None) -> tuple[Any, dict[str, Any]]:
    """The component's class for a setting, and its limits; `choices` are a page's own instead of those declared."""
    field = option(name)
    info, extra = field.field_info, field.field_info.extra
    offered = extra.get("choices") if choices is None else choices
    if offered is not None:
        return gr.Dropdown, {"choices": list(offered)}
    if kind(field) is bool:
        return gr.Checkbox, {}
    if kind(field) is str:
        return gr.Textbox, {}
    if name in TYPED:
        return gr.Number, {"precision": 0}
    return gr.Slider, {"minimum": info.ge, "maximum": info.le, "step": extra["step"]}
