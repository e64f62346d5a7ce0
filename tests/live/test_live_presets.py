"""Presets in the page: they set the panel, mark what differs from them, and one's own are kept and taken along."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from webui import WebUI
from webui_tab import Tab, opened


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def txt2img(browser: Any, webui: WebUI, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """The panel, open; in the theme of the test, if it names one."""
    theme = request.getfixturevalue("theme") if "theme" in request.fixturenames else "light"
    with opened(browser, f"{webui.url}/?__theme={theme}", request.node.name) as page:
        tab = Tab(page)
        tab.open_panel()
        yield tab


_MARKS = """prefix => {
    const labels = ":scope > .label-wrap > span:first-child, [data-testid=block-info], input[type=checkbox] + span";
    return [...document.querySelectorAll(`[id^="${prefix}"]`)].filter(part => {
        const own = [...part.querySelectorAll(labels)].filter(label => label.closest(`[id^="${prefix}"]`) === part);
        return own.some(label => getComputedStyle(label, "::after").content.includes("●"));
    }).map(part => part.id.slice(prefix.length)).sort();
}"""
"""The parts of the panel that bear a mark, as the browser draws it."""


def wait_for_marks(tab: Tab, *wanted: str) -> None:
    """Wait until exactly these are marked."""
    prefix = tab.panel("")[1:]
    check = f"([prefix, wanted]) => JSON.stringify(({_MARKS})(prefix)) === JSON.stringify(wanted)"
    try:
        tab.page.wait_for_function(check, arg=[prefix, sorted(wanted)], timeout=20_000)
    except Exception:
        raise AssertionError(tab.page.evaluate(_MARKS, prefix)) from None


def note(tab: Tab) -> Any:
    return tab.page.locator(tab.panel("preset_note")).first


def test_a_preset_sets_the_panel_and_what_is_changed_is_marked(txt2img: Tab, theme: str) -> None:
    txt2img.small(steps=4)
    txt2img.choose(txt2img.panel("preset"), "As in the paper")
    expect(note(txt2img)).to_contain_text("InstantAS as published")
    assert (txt2img.value("edges"), txt2img.value("schedule"), txt2img.value("fit")) == ("ring", "cyclic", "native")
    wait_for_marks(txt2img)
    txt2img.unfold_details()
    txt2img.fill(txt2img.panel("gamma"), 0.3)
    txt2img.page.click(f"{txt2img.panel('hold')} input")
    expect(note(txt2img)).to_contain_text("Differs from the preset in: Bridging γ 0.3, Hold within a step off")
    wait_for_marks(txt2img, "gamma", "hold", "details")
    txt2img.generate()
    assert "edges=ring" in txt2img.infotext()


def test_a_pasted_picture_is_marked_where_it_differs(txt2img: Tab, webui: WebUI) -> None:
    made = webui.client.txt2img({"enabled": True, "gamma": 0.37, "schedule": "cyclic", "compose_strength": 0.6})
    txt2img.choose(txt2img.panel("preset"), "Seamless texture")
    wait_for_marks(txt2img)
    txt2img.fill("#txt2img_prompt", made.infotext)
    txt2img.page.click("#paste")
    marked = ("fit", "edges", "gamma", "schedule", "compose_strength", "wrap")
    wait_for_marks(txt2img, *marked, "details", "compose_details")
    txt2img.choose(txt2img.panel("preset"), "Standard")
    wait_for_marks(txt2img)


def test_ones_own_are_kept_renamed_taken_along_and_deleted(txt2img: Tab, tmp_path: Path) -> None:
    page, own = txt2img.page, txt2img.panel("own_presets")
    said = page.locator(txt2img.panel("preset_said")).first
    txt2img.choose(txt2img.panel("preset"), "Seamless texture")
    page.click(f"{own} > .label-wrap")
    txt2img.fill(txt2img.panel("preset_name"), "Cloth")
    page.click(txt2img.panel("preset_save"))
    expect(said).to_contain_text("Saved Cloth.")
    txt2img.fill(txt2img.panel("preset_name"), "Linen")
    page.click(txt2img.panel("preset_rename"))
    expect(said).to_contain_text("Cloth is called Linen now.")
    txt2img.choose(txt2img.panel("preset"), "Standard")
    txt2img.choose(txt2img.panel("preset"), "Linen")
    expect(page.locator(f"{txt2img.panel('wrap')} input").first).to_have_value("both")
    file = exported(txt2img, tmp_path)
    content = json.loads(file.read_text("utf-8"))
    assert content["presets"] == {"Linen": {"wrap": "both"}}
    content["presets"] = {"Linen": {"wrap": "vertical"}, "Silk": {"gamma": 0.5}}
    brought_in(txt2img, file, content)
    expect(said).to_contain_text("Imported Linen as Linen (2), Silk.")
    txt2img.choose(txt2img.panel("preset"), "Linen (2)")
    expect(page.locator(f"{txt2img.panel('wrap')} input").first).to_have_value("vertical")
    brought_in(txt2img, file, content | {"presets": {"Wool": {"gamma": 7}}})
    expect(said).to_contain_text("the preset 'Wool' of the file: gamma must be between 0 and 1, got 7")
    for name in ("Linen", "Linen (2)", "Silk"):
        txt2img.fill(txt2img.panel("preset_name"), name)
        page.click(txt2img.panel("preset_delete"))
        expect(said).to_contain_text(f"Deleted {name}.")


def exported(tab: Tab, folder: Path) -> Path:
    """Press the button, and then on the link that it makes."""
    tab.page.click(tab.panel("preset_export"))
    with tab.page.expect_download() as download:
        tab.page.click(f"{tab.panel('preset_said')} a")
    assert download.value.suggested_filename == "InstantAS presets.json"
    download.value.save_as(folder / "presets.json")
    return folder / "presets.json"


def brought_in(tab: Tab, file: Path, content: dict[str, Any]) -> None:
    """Choose a file of this content where the page asks for one."""
    file.write_text(json.dumps(content), "utf-8")
    with tab.page.expect_file_chooser() as chooser:
        tab.page.click(tab.panel("preset_import"))
    chooser.value.set_files(file)
