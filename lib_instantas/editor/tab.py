"""The tab in Gradio: the editor's place, and the hidden event through which it asks Python. For gradio 3.41 and 4."""

from __future__ import annotations

import inspect
from typing import Any

import gradio as gr

from lib_instantas.editor.page import HIDDEN, ROOT, PageConfig
from lib_instantas.editor.service import EditorService

ASK = "instantas_editor_ask"
"""Element id of the hidden button that the JavaScript presses when it has a question."""

REQUEST = f"""() => {{
    const event = new CustomEvent("instantas-request", {{detail: {{text: ""}}}});
    document.getElementById("{ROOT}").dispatchEvent(event);
    return [event.detail.text];
}}"""
"""Asks the editor for its question's text."""

ANSWER = f"""text => {{
    document.getElementById("{ROOT}").dispatchEvent(new CustomEvent("instantas-answer", {{detail: text}}));
}}"""
"""Hands the answer's text to the editor."""


def build_tab(service: EditorService, config: PageConfig) -> None:
    """Add the editor to the Gradio context that is open."""
    gr.HTML(config.as_html(), elem_id="instantas_editor")
    with gr.Column(elem_classes=[HIDDEN]):
        ask = gr.Button("ask", elem_id=ASK)
        request = gr.Textbox("", label="Request")
        answer = gr.Textbox("", label="Answer")
    for component in (ask, request, answer):
        component.do_not_save_to_config = True  # The WebUI keeps defaults of what has a label, but these have none.
    asked = ask.click(
        service.answer,
        [request],
        [answer],
        queue=False,
        show_progress="hidden",
        api_name=False,
        **javascript(ask.click, REQUEST),
    )
    asked.then(None, [answer], None, **javascript(asked.then, ANSWER))


def javascript(event: Any, code: str) -> dict[str, str]:
    """The keyword argument that gives an event its JavaScript: `_js` before gradio 4, `js` since."""
    parameters = inspect.signature(event).parameters
    return {"js" if "js" in parameters else "_js": code}
