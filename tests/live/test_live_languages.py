"""The panel in the language that the host is set to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from webui import EXTENSION, PROBE, WebUI, running
from webui_tab import PANEL

GERMAN = ("Genaue Größe", "Kacheln und wie sie sich bewegen", "Bereiche löschen", "Erst komponieren")
HELP = "Seite einer Kachel in Bildpunkten; 0: die Größe, die das Modell kennt."


@pytest.fixture(scope="module")
def german(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    """A host that is set to German, with no language pack but this extension's."""
    data = tmp_path_factory.mktemp("german")
    extensions = {"instantas": EXTENSION, "probe": PROBE}
    with running(WebUI(data, extensions, models, options={"localization": "de_DE"})) as webui:
        yield webui


def test_the_panel_speaks_the_hosts_language_and_no_word_of_the_host_is_changed(german: WebUI, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1300})
    page.goto(german.url)
    page.wait_for_selector("#txt2img_generate")
    panel = f"#{PANEL.format(tab='txt2img', name='enabled')}"
    page.click(f"{panel} > .label-wrap")
    page.wait_for_function(
        "([panel, texts]) => texts.every(text => document.querySelector(panel).innerText.includes(text))",
        arg=[panel, GERMAN],
    )
    page.click(f"#{PANEL.format(tab='txt2img', name='details')} > .label-wrap")
    page.wait_for_selector(f"[title='{HELP}']", state="attached")
    assert "Width" in page.inner_text("#txt2img_settings")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "german.png", full_page=True)
    page.close()
