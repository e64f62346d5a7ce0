"""The panel, its messages and the editor in the language that the host is set to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import RefusedError
from playwright.sync_api import expect
from webui import EXTENSION, PROBE, WebUI, running
from webui_tab import GENERATION_TIMEOUT, Tab, load

from lib_instantas.texts import messages

LANGUAGES = ("de_DE", "ja_JP")
WIDTH, HEIGHT = 512, 128
"""Of four tiles for a model that knows 128x128."""

TABS = {"txt2img": "A", "Txt2img": "A", "img2img": "B", "Img2img": "B"}
"""What the language pack of the test calls the host's tabs."""


class Speaking:
    """A host in one language, with a language pack that renames its tabs beside this extension's file."""

    def __init__(self, name: str, webui: WebUI) -> None:
        self.name = name
        self.webui = webui
        self.words: dict[str, str] = json.loads((EXTENSION / "localizations" / f"{name}.json").read_text("utf-8"))

    def __call__(self, text: str, **values: object) -> str:
        """A text of the list in this language."""
        return self.words.get(f"InstantAS: {text}", self.words.get(text, text)).format(**values)


@pytest.fixture(scope="module", params=LANGUAGES)
def speaking(request: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Speaking]:
    name = request.param
    pack = tmp_path_factory.mktemp("pack")
    (pack / "localizations").mkdir()
    (pack / "localizations" / f"{name}.json").write_text(json.dumps(TABS), "utf-8")
    extensions = {"instantas": EXTENSION, "probe": PROBE, "language_pack": pack}
    host = WebUI(tmp_path_factory.mktemp(name), extensions, models, options={"localization": name})
    with running(host) as webui:
        yield Speaking(name, webui)


@pytest.fixture
def page(browser: Any, speaking: Speaking, request: pytest.FixtureRequest) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    page = context.new_page()
    load(page, f"{speaking.webui.url}/?__theme=light")
    yield page
    if folder := os.environ.get("SCREENSHOTS"):
        for theme in ("light", "dark"):
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
            page.screenshot(path=Path(folder) / f"{request.node.name}_{theme}.png", full_page=True)
    context.close()


@pytest.fixture
def txt2img(page: Any) -> Tab:
    tab = Tab(page)
    tab.open_panel()
    return tab


def give_regions(tab: Tab, text: str) -> None:
    """Write into the field that only carries the regions, as the editor does."""
    tab.page.locator(f"{tab.panel('regions')} textarea").evaluate(
        """(field, text) => {
            field.value = text;
            for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, {bubbles: true}));
        }""",
        text,
    )


def test_the_panel_speaks_the_hosts_language_and_no_word_of_the_host_is_changed(
    txt2img: Tab, speaking: Speaking
) -> None:
    labels = ["Exact size", "Tiles and how they move", "Clear regions", "Compose first"]
    for label in map(speaking, labels):
        expect(txt2img.page.locator(txt2img.panel("enabled"))).to_contain_text(label)
    txt2img.unfold_details()
    txt2img.page.wait_for_selector(
        f"[title='{speaking('Side of a tile in pixels; 0: the size the model knows.')}']", state="attached"
    )
    assert "Width" in txt2img.page.inner_text("#txt2img_settings")


def test_the_live_line_and_the_button_are_in_the_hosts_language(txt2img: Tab, speaking: Speaking) -> None:
    txt2img.small(WIDTH, HEIGHT, steps=20)
    txt2img.wait_for_line(speaking(messages.TILES, count=4, size="128x128"))
    txt2img.wait_for_line(speaking(messages.EVALUATIONS, tiles="", evaluations=80))
    edit = txt2img.page.locator(txt2img.panel("edit_regions"))
    expect(edit).to_have_text(speaking("Edit regions ({count} active)", count=0))


def test_an_error_is_in_the_hosts_language_in_the_panel_and_below_the_picture(txt2img: Tab, speaking: Speaking) -> None:
    give_regions(txt2img, '{"version": 7, "regions": []}')
    problem = speaking(messages.AT, place="version", problem=speaking(messages.MUST_BE_VERSION, version=1, value=7))
    txt2img.wait_for_line(problem)
    txt2img.generate()
    assert problem in txt2img.message()
    with pytest.raises(RefusedError, match="version must be 1, got 7"):
        speaking.webui.client.txt2img({"enabled": True, "regions": {"version": 7, "regions": []}})


def test_the_comparison_is_in_the_hosts_language(txt2img: Tab, speaking: Speaking) -> None:
    txt2img.small()
    txt2img.page.click(txt2img.panel("compare"))
    comparison = txt2img.page.locator("#txt2img_instantas_comparison")
    expect(comparison).to_be_visible(timeout=GENERATION_TIMEOUT)
    expect(comparison).to_have_attribute("aria-label", speaking("With and without InstantAS"))
    expect(comparison.locator(".instantas-right")).to_have_text(speaking("Without InstantAS"))
    expect(comparison.locator("button")).to_have_text(speaking("InstantAS: Close"))
    expect(comparison.locator("button")).to_have_attribute("title", speaking("Close the comparison"))


def test_a_preset_that_cannot_be_saved_is_refused_in_the_hosts_language(txt2img: Tab, speaking: Speaking) -> None:
    page = txt2img.page
    page.click(f"{txt2img.panel('own_presets')} > .label-wrap")
    page.locator(f"{txt2img.panel('preset_name')} input, {txt2img.panel('preset_name')} textarea").first.fill("Upscale")
    page.click(txt2img.panel("preset_save"))
    said = page.locator(txt2img.panel("preset_said")).first  # Gradio 3 gives a text two elements of one id
    expect(said).to_contain_text(speaking(messages.BUILT_IN, name="'Upscale'"))


def test_the_editor_is_in_the_hosts_language_and_finds_tabs_that_a_language_pack_renames(
    page: Any, speaking: Speaking
) -> None:
    page.locator("#tabs > .tab-nav button").filter(has_text="InstantAS").click()
    editor = page.locator("#instantas_editor_root")
    expect(editor.locator(".ias-empty").first).to_contain_text(
        speaking("Draw a rectangle, a polygon or a mask on the canvas. What no region covers follows the main prompt.")
    )
    grid = re.escape(speaking("{tiles} tiles per step", tiles="N")).replace("N", r"\d+")
    expect(editor.locator(".ias-note")).to_contain_text(re.compile(grid))
    editor.get_by_role("button", name=speaking("Rectangle"), exact=True).click()
    page.locator(".ias-frame").focus()
    page.keyboard.press("Enter")
    expect(editor.locator(".ias-name")).to_have_value(f"{speaking('Region')} 1")
    expect(editor.locator(".ias-prompt").first).to_contain_text(speaking("Prompt"))
    expect(page.locator("#instantas_viewer_root")).to_contain_text(
        speaking("Look around in a 360° panorama, or see a texture laid side by side:")
    )
    editor.get_by_role("button", name=speaking("Send to {tab}", tab="B"), exact=True).click()
    page.wait_for_selector("#img2img_generate", state="visible")
    expect(page.locator(Tab(page, "img2img").panel("edit_regions"))).to_have_text(
        speaking("Edit regions ({count} active)", count=1)
    )
