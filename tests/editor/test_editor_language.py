"""Every text of the editor and the viewer is said in the page's language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from surface import Surface

from lib_instantas.texts.catalogue import all_texts
from lib_instantas.texts.message import OWN

# A language in which every text is put into brackets. It takes down which texts it was asked for.
BRACKETS = """
globalThis.asked = new Set();
globalThis.localization = new Proxy({}, {get: (_, text) => {
    if (typeof text !== "string" || text.startsWith("InstantAS: ")) return undefined;
    globalThis.asked.add(text);
    return `⟦${text}⟧`;
}});
"""

SHOWN = """root => {
    const found = [];
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const isNamedByUser = walker.currentNode.parentElement.closest(".ias-preset-name");
        if (!isNamedByUser) found.push(walker.currentNode.textContent);
    }
    for (const node of root.querySelectorAll("*")) {
        if (node.closest("option:not(.ias-panel option)")) continue;
        for (const name of ["title", "placeholder", "aria-label", "alt"]) found.push(node.getAttribute(name) ?? "");
    }
    for (const field of root.querySelectorAll(".ias-name")) found.push(field.value);
    return found.map(text => text.trim()).filter(text => /\\p{L}/u.test(text));
}"""
"""All that can be read in a part of the page, also by a screen reader, and has a letter in it."""

UNTRANSLATED = re.compile(r"px|[XY]|golden|cyclic|random")
"""Units, the names of axes and of choices."""

DRAWING = """() => {
    const {actions, store} = instantasEditor.app;
    actions.addCentredRectangle();
    actions.addCentredRectangle();
    actions.duplicate(store.view.selected);
    actions.invert(store.selected);
}"""


@pytest.fixture
def bracketed(browser: Browser, address: str) -> Iterator[Surface]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.add_init_script(BRACKETS)
    surface = Surface(page, address).open()
    yield surface
    assert not surface.errors
    context.close()


def strangers(surface: Surface, place: str) -> list[str]:
    """What can be read in a place and is not in the page's language."""
    shown: list[str] = surface.page.locator(place).evaluate(SHOWN)
    assert shown
    return [
        text
        for text in shown
        if not re.fullmatch(r"⟦.*⟧( \d+)?( \([A-Z]\))?", text) and not UNTRANSLATED.fullmatch(text)
    ]


def test_every_text_of_the_editor_is_in_the_pages_language(bracketed: Surface) -> None:
    assert strangers(bracketed, "#instantas_editor_root") == []
    bracketed.page.evaluate(DRAWING)
    expect(bracketed.cards()).to_have_count(3)
    assert strangers(bracketed, "#instantas_editor_root") == []
    for menu in bracketed.page.locator(".ias-menu > button").all():
        menu.click()
        assert strangers(bracketed, "#instantas_editor_root") == []


def test_what_the_editor_says_is_in_the_pages_language_with_its_values(bracketed: Surface) -> None:
    notice = bracketed.page.locator(".ias-notice")
    bracketed.page.locator(".ias-canvas-width").fill("7")
    bracketed.page.locator(".ias-canvas-width").press("Enter")
    expect(notice).to_have_text("⟦The canvas's width must be between 64 and 32768 pixels.⟧")
    bracketed.page.evaluate("() => { for (let i = 0; i < 33; i++) instantasEditor.app.actions.addCentredRectangle(); }")
    expect(notice).to_have_text("⟦At most 32 regions.⟧")


def test_every_text_that_is_asked_for_is_in_the_list(bracketed: Surface) -> None:
    bracketed.page.evaluate(DRAWING)
    asked: set[str] = set(bracketed.page.evaluate("[...globalThis.asked]"))
    listed = all_texts()
    of_the_host = {"page", "Page"}  # what a target's tab may be called there
    assert len(asked) > 60
    assert [text for text in asked - of_the_host if text not in listed and OWN.format(text) not in listed] == []


def test_every_text_of_the_viewer_is_in_the_pages_language(bracketed: Surface) -> None:
    page: Any = bracketed.page
    page.evaluate(
        """async () => {
            const version = await (await fetch("instantas/browser/version")).text();
            const {viewerIn} = await import(new URL(`instantas/browser/${version}/viewer.mjs`, document.baseURI));
            const place = document.body.appendChild(document.createElement("div"));
            place.id = "viewer";
            await viewerIn(place).open(null);
        }"""
    )
    expect(page.locator("#viewer .ias-view-notice")).to_have_text("⟦There is no picture yet.⟧")
    assert strangers(bracketed, "#viewer") == []
