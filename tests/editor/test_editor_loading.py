"""How the editor comes into a page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

PATIENCE = 60_000

# A variable of a plain script cannot be deleted, and a loader of AMD modules takes what comes from any script.
FOREIGN = """Object.defineProperty(window, "Konva", {value: {version: "of another script"}, writable: true});
window.define = Object.assign(() => { window.taken = true; }, {amd: {}});
"""

HIDING = """document.head.insertAdjacentHTML(
    "beforeend", "<style id=hiding>#instantas_editor { display: none }</style>");
"""


def test_nothing_of_it_or_of_its_library_is_left_in_the_pages_globals(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    expect(page.locator(".ias-paper")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("Object.keys(window).filter(name => /instantas|konva/i.test(name))") == []
    page.close()


def test_a_library_that_another_script_brought_stays_its_own(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.add_init_script(FOREIGN)
    page.goto(address)
    expect(page.locator(".ias-paper")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("Konva.version") == "of another script"
    assert page.evaluate("[typeof define, window.taken ?? false]") == ["function", False]
    page.close()


def test_it_is_loaded_when_its_place_is_first_seen(browser: Any, address: str) -> None:
    """As in the WebUI, where the place lies on a tab that is not shown."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/javascript/instantas.js*", lambda route: route.fulfill(body=HIDING + route.fetch().text()))
    page.goto(address)
    page.wait_for_selector("#instantas_editor_root", state="attached", timeout=PATIENCE)
    page.wait_for_timeout(2000)
    assert not [url for url in asked if "/instantas/browser/" in url]
    page.evaluate("document.getElementById('hiding').remove()")
    expect(page.locator(".ias-paper")).to_be_visible(timeout=PATIENCE)
    assert [url for url in asked if url.endswith("/konva.min.js")]
    page.close()
