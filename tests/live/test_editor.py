"""The region editor in the real WebUI, in headless Chromium."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from surface import Surface
from webui import WebUI
from webui_tab import Tab, load

BOX = {"type": "rectangle", "x": 0.25, "y": 0, "width": 0.5, "height": 1}
FOREIGN_KONVA = "window.Konva = {version: 'of another extension'}"


@pytest.fixture
def page(browser: Any, webui: WebUI, request: pytest.FixtureRequest) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(FOREIGN_KONVA)
    load(page, webui.url)
    yield page
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"editor_{request.node.name}.png", full_page=True)
    context.close()


@pytest.fixture
def txt2img(page: Any) -> Tab:
    return Tab(page)


@pytest.fixture
def editor(page: Any, webui: WebUI) -> Surface:
    """The editor on its open tab."""
    surface = Surface(page, webui.url)
    open_editor(page)
    return surface


def open_editor(page: Any) -> None:
    page.locator("#tabs > .tab-nav button").filter(has_text="InstantAS").click()
    page.wait_for_selector(".ias-paper", state="visible")
    page.wait_for_function("globalThis.instantasEditor?.app.stage.plan")


def regions_of(tab: Tab) -> Any:
    text = tab.page.locator(f"{tab.panel('regions')} textarea").input_value()
    return json.loads(text)["regions"] if text else []


def wait_for_count(tab: Tab, count: int) -> None:
    tab.page.wait_for_function(
        "([s, count]) => document.querySelector(s).textContent.includes(`(${count} active)`)",
        arg=[tab.panel("edit_regions"), count],
    )


def test_its_code_is_loaded_when_the_tab_is_first_opened(browser: Any, webui: WebUI) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    load(page, webui.url)
    wait_for_count(Tab(page), 0)
    assert not [url for url in asked if "/instantas/browser/" in url or "konva" in url]
    page.locator("#tabs > .tab-nav button").filter(has_text="InstantAS").click()
    page.wait_for_selector(".ias-paper", state="visible")
    assert [url for url in asked if url.endswith("/konva.min.js")]
    assert page.evaluate("Object.keys(window).filter(name => /instantas|konva/i.test(name))") == []
    page.close()


def canvas(editor: Surface) -> list[str]:
    return [editor.page.locator(f".ias-canvas-{side}").input_value() for side in ("width", "height")]


def test_the_canvas_is_as_large_as_what_is_made_until_something_is_drawn(page: Any, webui: WebUI, txt2img: Tab) -> None:
    txt2img.small(384, 192)
    editor = Surface(page, webui.url)
    open_editor(page)
    assert canvas(editor) == ["384", "192"]
    page.locator("#tabs > .tab-nav button").first.click()
    txt2img.open_panel()
    txt2img.fill(txt2img.panel("width"), 1209)
    open_editor(page)
    expect(page.locator(".ias-canvas-width")).to_have_value("1209")
    editor.draw_box((0.1, 0.1), (0.45, 0.9))
    page.locator("#tabs > .tab-nav button").first.click()
    txt2img.fill(txt2img.panel("width"), 640)
    open_editor(page)
    page.wait_for_timeout(1500)
    assert canvas(editor) == ["1209", "192"]


def test_what_is_drawn_is_sent_and_made(editor: Surface, txt2img: Tab) -> None:
    editor.set_canvas(512, 256)
    editor.draw_box((0.1, 0.1), (0.45, 0.9))
    editor.page.locator(".ias-selected").get_by_label("Prompt", exact=True).fill("a (red:1.2) fox, with a hat")
    drawn = editor.regions()
    editor.button("Send to txt2img").click()
    editor.page.wait_for_selector("#txt2img_generate", state="visible")
    txt2img.small()
    assert regions_of(txt2img) == drawn
    assert txt2img.is_on()
    wait_for_count(txt2img, 1)
    txt2img.generate()
    assert txt2img.picture_size() == (512, 256)
    assert "a (red:1.2) fox, with a hat" in txt2img.infotext()


def test_it_is_sent_to_img2img_as_well(editor: Surface) -> None:
    editor.draw_box((0.1, 0.1), (0.45, 0.9))
    drawn = editor.regions()
    editor.button("Send to img2img").click()
    editor.page.wait_for_selector("#img2img_generate", state="visible")
    assert regions_of(Tab(editor.page, "img2img")) == drawn
    assert regions_of(Tab(editor.page, "txt2img")) == []


def test_a_pasted_infotext_brings_the_drawing_back(editor: Surface, txt2img: Tab) -> None:
    editor.set_canvas(512, 256)
    editor.draw_box((0.05, 0.2), (0.3, 0.7))
    editor.draw_polygon([(0.5, 0.1), (0.9, 0.2), (0.7, 0.9)])
    editor.use("Select and move")
    editor.page.locator(".ias-frame").press("Escape")
    editor.paint((0.4, 0.4), (0.45, 0.6))
    drawn = editor.regions()
    editor.button("Send to txt2img").click()
    txt2img.small()
    txt2img.generate()
    infotext = txt2img.infotext()
    txt2img.page.reload()
    txt2img.page.wait_for_function("() => typeof uiCurrentTab !== 'undefined' && uiCurrentTab !== null")
    open_editor(txt2img.page)
    editor.clear()
    txt2img.page.locator("#tabs > .tab-nav button").filter(has_text="txt2img").click()
    txt2img.fill("#txt2img_prompt", infotext)
    txt2img.page.click("#paste")
    wait_for_count(txt2img, 3)
    txt2img.page.click(txt2img.panel("edit_regions"))
    expect(editor.cards()).to_have_count(3)
    assert [without_pixels(region) for region in editor.regions()] == [without_pixels(region) for region in drawn]
    assert editor.page.locator(".ias-canvas-width").input_value() == "512"


def without_pixels(region: dict[str, Any]) -> dict[str, Any]:
    """A mask's PNG is packed anew on its way; its pixels are compared by the tests of masks."""
    shape = region["shape"]
    return {**region, "shape": "mask" if shape["type"] == "mask" else shape}


def test_regions_that_a_request_carried_open_in_the_editor(txt2img: Tab, webui: WebUI) -> None:
    setup = {"regions": [{"shape": BOX, "prompt": "a boat", "name": "middle"}, {"shape": BOX, "enabled": False}]}
    made = webui.client.txt2img({"enabled": True, "regions": setup})
    txt2img.fill("#txt2img_prompt", made.infotext)
    txt2img.page.click("#paste")
    wait_for_count(txt2img, 1)
    txt2img.page.click(txt2img.panel("edit_regions"))
    editor = Surface(txt2img.page, webui.url)
    expect(editor.cards()).to_have_count(2)
    assert [(region["name"], region["prompt"]) for region in editor.regions()] == [("middle", "a boat"), ("", "")]


def test_gamma_and_schedule_are_the_accordions(editor: Surface, txt2img: Tab) -> None:
    bar = editor.page.locator(".ias-gridbar")
    bar.get_by_label("Schedule", exact=True).select_option("cyclic")
    editor.page.locator(".ias-gamma input[type=number]").fill("0.35")
    editor.wait("JSON.parse(document.querySelector('.ias-gridbar').dataset.plan).settings.schedule === 'cyclic'")
    assert (txt2img.value("gamma"), txt2img.value("schedule")) == ("0.35", "cyclic")


def test_tokens_are_counted_by_the_host(editor: Surface) -> None:
    editor.draw_box((0.1, 0.1), (0.45, 0.9))
    editor.page.locator(".ias-selected").get_by_label("Prompt", exact=True).fill("a fox")
    expect(editor.page.locator(".ias-selected .ias-tokens").first).to_contain_text("/75")


def test_presets_are_kept_in_the_hosts_data_folder(editor: Surface, webui: WebUI) -> None:
    editor.draw_box((0.1, 0.1), (0.45, 0.9))
    editor.save_preset("../evening")
    (file,) = (webui.data / "instantas" / "presets").iterdir()
    assert file.name == "preset-%2E%2E%2Fevening.json"


def test_the_last_picture_lies_under_the_regions(editor: Surface, txt2img: Tab) -> None:
    txt2img.page.locator("#tabs > .tab-nav button").filter(has_text="txt2img").click()
    txt2img.small()
    txt2img.generate()
    open_editor(txt2img.page)
    editor.open_menu("Picture")
    editor.button("Last result").click()
    expect(editor.page.locator(".ias-picture")).to_be_visible()
    editor.wait("document.querySelector('.ias-picture').naturalWidth === 320")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_menus_are_opaque_in_the_hosts_themes(editor: Surface, webui: WebUI, theme: str) -> None:
    load(editor.page, f"{webui.url}/?__theme={theme}")
    open_editor(editor.page)
    for name in ("Picture", "Presets", "File"):
        editor.open_menu(name)
        panel = editor.page.locator(".ias-menu-panel:visible")
        assert panel.evaluate("node => getComputedStyle(node).backgroundColor").startswith("rgb(")
        assert panel.evaluate("node => getComputedStyle(node).opacity") == "1"
        editor.page.keyboard.press("Escape")


def test_another_extensions_konva_stays_its_own(editor: Surface) -> None:
    assert editor.page.evaluate("Konva.version") == "of another extension"
    assert editor.page.evaluate("instantasEditor.Konva.version").startswith("10.")
