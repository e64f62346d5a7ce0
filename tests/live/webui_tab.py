"""The WebUI's page in a headless browser, as a person uses it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import TimeoutError, expect

PANEL = "script_{tab}_instantas_{name}"
GENERATION_TIMEOUT = 120_000
LOADING_TIMEOUT = 150_000
"""For the whole page, which a busy machine takes long for."""
BEGINNING_TIMEOUT = 10_000
ANSWER_TIMEOUT = 60_000
"""For what the page does once it is there."""

expect.set_options(timeout=ANSWER_TIMEOUT)


def load(page: Any, url: str) -> None:
    """Open the host's page, and wait until it is ready for use."""
    page.set_default_timeout(LOADING_TIMEOUT)
    page.goto(url)
    page.wait_for_selector("#txt2img_generate")
    page.wait_for_function("() => typeof uiCurrentTab !== 'undefined' && uiCurrentTab !== null")
    page.set_default_timeout(ANSWER_TIMEOUT)


@contextmanager
def opened(browser: Any, url: str, name: str) -> Iterator[Any]:
    """A window on the page, ready for use; with SCREENSHOTS set, what it showed last is kept under the name."""
    page = browser.new_page(viewport={"width": 1400, "height": 1300})
    load(page, url)
    yield page
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    page.close()


@dataclass
class Tab:
    """One of the page's generation tabs; `page` is Playwright's."""

    page: Any
    name: str = "txt2img"

    def panel(self, name: str) -> str:
        """The selector of a part of the extension's panel."""
        return f"#{PANEL.format(tab=self.name, name=name)}"

    def open_panel(self) -> None:
        """Switch the extension on, which unfolds its panel."""
        self.page.click(f"{self.panel('enabled')} > .label-wrap")
        self.page.click(f"{self.panel('size_details')} > .label-wrap")
        self.page.wait_for_selector(f"{self.panel('width')} input", state="visible")

    def unfold_details(self) -> None:
        """Show the settings that are folded away."""
        self.page.click(f"{self.panel('details')} > .label-wrap")
        self.page.wait_for_selector(f"{self.panel('gamma')} input", state="visible")

    def is_on(self) -> bool:
        """Whether the extension is switched on."""
        return bool(self.page.is_checked(f"{self.panel('enabled')} .label-wrap input"))

    def fill(self, selector: str, value: object) -> None:
        """Type a value into a number field or text box and leave it."""
        field = self.page.locator(f"{selector} input[type=number], {selector} textarea").first
        field.fill(str(value))
        field.dispatch_event("change")
        field.blur()

    def empty(self, selector: str) -> None:
        """Delete what a number field holds, key by key, and leave it."""
        field = self.page.locator(f"{selector} input[type=number]").first
        field.press("Control+a")
        field.press("Backspace")
        field.press("Tab")

    def value(self, name: str) -> str:
        """What a control of the panel shows."""
        return str(self.page.locator(f"{self.panel(name)} input").first.input_value())

    def fill_until_it_stays(self, selector: str, value: object) -> None:
        """Type into a field that the page may still empty in answer to something before."""
        field = self.page.locator(f"{selector} textarea").first
        for _ in range(10):
            self.fill(selector, value)
            self.page.wait_for_timeout(700)
            if field.input_value() == str(value):
                return

    def choose(self, selector: str, text: str) -> None:
        """Pick an entry of a dropdown by what it says."""
        self.page.click(f"{selector} input")
        self.page.fill(f"{selector} input", text)
        self.page.locator(f"{selector} li").filter(
            has_text=re.compile(rf"^\W*{re.escape(text)}\s*$", re.IGNORECASE)
        ).first.click()

    def line(self) -> str:
        """What the panel says will happen."""
        return str(self.page.inner_text(self.panel("line")))

    def wait_for_line(self, text: str) -> None:
        """Wait until the panel says it."""
        self.page.wait_for_function(
            "([selector, text]) => document.querySelector(selector).innerText.includes(text)",
            arg=[self.panel("line"), text],
        )

    def small(self, width: int = 320, height: int = 192, steps: int = 2) -> None:
        """Ask for a small picture in few steps of a sampler that takes them at their word."""
        self.choose(f"#{self.name}_sampling", "Euler")
        for field, value in (("width", width), ("height", height), ("steps", steps)):
            self.fill(f"#{self.name}_{field}", value)

    def generate(self) -> None:
        """Press "Generate" and wait until it has ended, which what an earlier one left on the page does not say."""
        self.page.click(f"#{self.name}_generate")
        with suppress(TimeoutError):  # it may have ended before anybody looked
            self.page.wait_for_function(_BEGUN, arg=self.name, timeout=BEGINNING_TIMEOUT)
        self.page.wait_for_function(_ENDED, arg=self.name, timeout=GENERATION_TIMEOUT)

    def infotext(self) -> str:
        """What the page says below the picture."""
        return str(self.page.inner_text(f"#html_info_{self.name}"))

    def message(self) -> str:
        """The error or the time taken, below the picture."""
        return str(self.page.inner_text(f"#html_log_{self.name}"))

    def picture_size(self) -> tuple[int, int]:
        """Width and height of the picture that is shown."""
        script = "img => [img.naturalWidth, img.naturalHeight]"
        picture = self.page.wait_for_selector(
            f"#{self.name}_gallery img[data-testid=detailed-image], #{self.name}_gallery img"
        )
        width, height = picture.evaluate(script)
        return width, height


_BEGUN = "tab => getComputedStyle(document.querySelector(`#${tab}_interrupt`)).display !== 'none'"
_ENDED = """tab => {
    const log = document.querySelector(`#html_log_${tab}`).innerText;
    const button = document.querySelector(`#${tab}_interrupt`);
    return log.trim() !== "" && getComputedStyle(button).display === "none";
}"""
