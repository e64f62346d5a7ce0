"""The extension in the page, in headless Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from webui import WebUI
from webui_tab import Tab, opened

from lib_instantas.texts.panel import HINTS, NOTES


@pytest.fixture(scope="module", autouse=True)
def loaded_model(webui: WebUI) -> None:
    """Some hosts load their model when they are first asked for a picture; until then none is known to the line."""
    webui.client.txt2img(width=64, height=64, steps=1)


@pytest.fixture
def page(browser: Any, webui: WebUI, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened(browser, webui.url, request.node.name) as page:
        yield page


@pytest.fixture
def txt2img(page: Any) -> Tab:
    return Tab(page)


def test_the_line_follows_the_panel_and_the_page(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.small(steps=10)
    txt2img.wait_for_line("6 tiles of 128x128, 60 UNet evaluations of a tile instead of 10 of 320x192: about ")
    txt2img.fill(txt2img.panel("width"), 1209)
    txt2img.fill(txt2img.panel("height"), 128)
    txt2img.wait_for_line("of 1209x128")
    txt2img.unfold_details()
    txt2img.fill(txt2img.panel("tile"), 512)
    txt2img.wait_for_line("2 tiles of 640x128")


def test_the_line_says_what_is_wrong(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.fill(txt2img.panel("width"), 50)
    txt2img.wait_for_line("InstantAS: width must be 0 (the page's own) or a whole number between 64 and 32768, got 50")


@pytest.mark.parametrize("name", ["width", "height"])
def test_a_size_that_is_emptied_is_the_pages_own_and_takes_its_error_away(txt2img: Tab, name: str) -> None:
    txt2img.open_panel()
    txt2img.small(steps=10)
    txt2img.fill(txt2img.panel(name), 50)
    txt2img.wait_for_line(f"{name} must be 0")
    txt2img.empty(txt2img.panel(name))
    txt2img.wait_for_line("6 tiles of 128x128, 60 UNet evaluations of a tile instead of 10 of 320x192: about ")
    assert txt2img.value(name) == "0"


def test_the_line_foresees_the_hires_pass(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.small()
    txt2img.page.click("#txt2img_hr > .label-wrap")
    txt2img.wait_for_line("first pass: 6 tiles of 128x128, 12 UNet evaluations")
    txt2img.wait_for_line("hires pass: ")
    txt2img.wait_for_line("of 640x384")


def test_the_picture_is_what_the_line_said(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.small()
    txt2img.fill(txt2img.panel("width"), 333)
    txt2img.fill(txt2img.panel("height"), 187)
    txt2img.wait_for_line("of 333x187")
    said = re.match(r"\d+ tiles of \d+x\d+, \d+ UNet evaluations", txt2img.line())
    txt2img.generate()
    assert said is not None
    assert said[0] in txt2img.infotext()
    assert "Size: 333x187" in txt2img.infotext()
    assert txt2img.picture_size() == (333, 187)


def test_the_page_shows_why_a_setting_is_refused(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.small()
    txt2img.fill(txt2img.panel("height"), 50)
    txt2img.generate()
    assert "InstantAS: height must be 0 (the page's own) or a whole number between" in txt2img.message()


def test_a_pasted_infotext_restores_the_panel(txt2img: Tab, webui: WebUI) -> None:
    settings = {"enabled": True, "gamma": 0.37, "edges": "ring/clamp", "width": 345, "schedule": "cyclic"}
    made = webui.client.txt2img(settings, prompt='a "cat", Steps: 3: {x}')
    txt2img.fill("#txt2img_prompt", made.infotext)
    txt2img.page.click("#paste")
    txt2img.wait_for_line("of 345x192")
    assert txt2img.is_on()
    shown = {name: txt2img.value(name) for name in ("gamma", "edges", "width", "schedule")}
    assert shown == {"gamma": "0.37", "edges": "ring/clamp", "width": "345", "schedule": "cyclic"}
    txt2img.generate()
    assert txt2img.picture_size() == (345, 192)


def test_pasting_a_picture_made_without_switches_off(txt2img: Tab, webui: WebUI) -> None:
    plain = webui.client.txt2img()
    txt2img.open_panel()
    txt2img.fill("#txt2img_prompt", plain.infotext)
    txt2img.page.click("#paste")
    txt2img.page.wait_for_function(
        "s => !document.querySelector(s).checked", arg=f"{txt2img.panel('enabled')} .label-wrap input"
    )


def test_send_to_img2img_takes_the_settings_along(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.small()
    txt2img.unfold_details()
    txt2img.choose(txt2img.panel("schedule"), "cyclic")
    txt2img.fill(txt2img.panel("gamma"), 0.125)
    txt2img.fill(txt2img.panel("width"), 301)
    txt2img.generate()
    txt2img.page.click("#txt2img_send_to_img2img")
    img2img = Tab(txt2img.page, "img2img")
    img2img.wait_for_line("The size is the panel's 301x192, not the page's")
    txt2img.page.wait_for_function(
        "s => document.querySelector(s).value === '301'", arg=f"{img2img.panel('width')} input"
    )
    assert img2img.is_on()
    assert img2img.value("gamma") == "0.125"
    img2img.generate()
    assert img2img.picture_size() == (301, 192)


def movable(tab: Tab, name: str) -> Any:
    return tab.page.locator(f"{tab.panel(name)} input").first


def test_what_does_nothing_cannot_be_moved(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.unfold_details()
    expect(movable(txt2img, "gamma")).to_be_disabled()
    txt2img.choose(txt2img.panel("schedule"), "cyclic")
    expect(movable(txt2img, "gamma")).to_be_enabled()
    txt2img.choose(txt2img.panel("method"), "MultiDiffusion")
    expect(movable(txt2img, "gamma")).to_be_disabled()
    expect(movable(txt2img, "overlap")).to_be_enabled()
    txt2img.page.click(f"{txt2img.panel('compose_details')} > .label-wrap")
    for name in ("compose_strength", "compose_upscaler"):
        expect(movable(txt2img, name)).to_be_disabled()
    txt2img.page.check(f"{txt2img.panel('compose')} input")
    for name in ("compose_strength", "compose_upscaler"):
        expect(movable(txt2img, name)).to_be_enabled()


def test_txt2img_can_be_told_to_enlarge_and_says_to_what(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.small(128, 128, steps=10)
    txt2img.page.click(f"{txt2img.panel('upscale_details')} > .label-wrap")
    txt2img.fill(txt2img.panel("upscale_by"), 2)
    txt2img.wait_for_line("; then 128x128 → 256x256 by Lanczos: 4 tiles of 128x128, 16 UNet evaluations of a tile")
    txt2img.generate()
    assert txt2img.picture_size() == (256, 256)
    assert "4 tiles of 128x128, 16 UNet evaluations" in txt2img.infotext()


def test_img2img_says_from_what_to_what_a_picture_is_enlarged(txt2img: Tab, webui: WebUI, tmp_path: Path) -> None:
    page, img2img = txt2img.page, Tab(txt2img.page, "img2img")
    page.locator("#tabs > .tab-nav button").nth(1).click()
    img2img.open_panel()
    img2img.choose(img2img.panel("preset"), "Upscale")
    img2img.wait_for_line("the given picture, 2 times as wide and high by Lanczos, finished in tiles of about 128x128")
    webui.client.txt2img(width=160, height=96, steps=1).images[0].save(tmp_path / "given.png")
    page.locator("#img2img_image input[type=file]").first.set_input_files(str(tmp_path / "given.png"))
    img2img.wait_for_line("160x96 → 320x192 by Lanczos: ")


@pytest.mark.parametrize("name", ["edit_regions", "clear_regions", "compare"])
def test_buttons_say_what_they_do(txt2img: Tab, name: str) -> None:
    txt2img.open_panel()
    expect(txt2img.page.locator(txt2img.panel(name))).to_have_attribute("title", HINTS[name])


def test_the_methods_help_is_of_those_that_can_be_chosen(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.unfold_details()
    shown = txt2img.page.locator(f"{txt2img.panel('method')} [title], {txt2img.panel('method')}[title]").first
    title = shown.get_attribute("title")
    txt2img.page.click(f"{txt2img.panel('method')} input")
    offered = [text.strip(" ✓\n") for text in txt2img.page.locator(f"{txt2img.panel('method')} li").all_inner_texts()]
    named = [name for line in title.splitlines()[1:] for name in line.partition(": ")[0].split(", ")]
    assert sorted(named) == sorted(offered)


def test_an_xyz_plot_from_the_page(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.small()
    txt2img.choose("#script_list", "X/Y/Z plot")
    txt2img.choose("#script_txt2img_xyz_plot_x_type", "[InstantAS] Bridging γ")
    txt2img.fill_until_it_stays("#script_txt2img_xyz_plot_x_values", "0.1, 0.5, 0.9")
    txt2img.generate()
    assert txt2img.picture_size()[0] >= 3 * 320
    assert "gamma=0.1" in txt2img.infotext()  # the page shows the metadata of the first cell


def test_the_settings_page_chooses_the_defaults(page: Any, webui: WebUI) -> None:
    page.click("text=Settings >> nth=0")
    page.fill("#settings_search textarea, #settings_search input", "Bridging")
    page.wait_for_selector("#setting_instantas_gamma", state="visible")
    assert NOTES["defaults"] in page.text_content("#settings")  # a search hides it
    assert "Reload UI" not in page.inner_text("#setting_instantas_gamma")
    assert page.locator("#setting_instantas_gamma input").first.input_value() == "0.25"
    webui.client.post("/sdapi/v1/options", {"instantas_gamma": 0.4})
    made = webui.client.txt2img({"enabled": True})
    webui.client.post("/sdapi/v1/options", {"instantas_gamma": 0.25})
    assert "gamma=0.4" in made.infotext
