"""The README's picture of the editor: `PYTHONPATH=.:tests python tests/editor/screenshot.py docs/pictures/editor.png`.

Regions on a panorama, made with the embedded model (a minute or two on a processor).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from chromium import chromium
from playwright.sync_api import expect
from serving import free_port, serving
from surface import Surface

from lib_instantas.cli.generate import EMBEDDED_MODEL
from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.standalone import Generator

WINDOW = {"width": 1280, "height": 830}
PATIENCE = 600_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--prompt", default="mountains at sunset")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--steps", default="20")
    options = parser.parse_args()
    generator = Generator(load_pipeline(EMBEDDED_MODEL))
    with chromium() as browser, serving(generator, Path(tempfile.mkdtemp()), free_port()) as address:
        surface = Surface(browser.new_page(viewport=WINDOW), address).open()
        set_up(surface, options)
        draw(surface)
        surface.page.locator("#instantas_serve_go").click()
        expect(surface.page.locator(".instantas-progress[data-state=done]")).to_be_visible(timeout=PATIENCE)
        result = surface.page.locator("#instantas_serve_picture img").get_attribute("src")
        expect(surface.page.locator(".ias-picture")).to_have_attribute("src", str(result))
        surface.page.evaluate("window.scrollTo(0, 0)")
        surface.page.screenshot(path=options.file)


def set_up(surface: Surface, options: argparse.Namespace) -> None:
    surface.set_canvas(1024, 256)
    surface.page.locator("#instantas_serve_prompt textarea").fill(options.prompt)
    surface.page.locator("#instantas_serve_steps input[type=number]").fill(options.steps)
    surface.page.locator("#instantas_serve_seed input").fill(options.seed)


def draw(surface: Surface) -> None:
    """A box, a polygon and a painted mask."""
    surface.draw_box((0.05, 0.15), (0.3, 0.95))
    describe(surface, "forest", "a forest at night")
    surface.draw_polygon([(0.4, 0.95), (0.42, 0.35), (0.52, 0.1), (0.62, 0.35), (0.64, 0.95)])
    describe(surface, "desert", "a desert by day")
    surface.page.locator(".ias-frame").press("Escape")
    surface.paint((0.76, 0.72), (0.83, 0.45), (0.92, 0.7), (0.8, 0.75))
    surface.use("Select and move")
    describe(surface, "snow", "a snowy plain by day")
    surface.page.locator(".ias-selected").locator('input[type=number][aria-label="Feather"]').fill("24")


def describe(surface: Surface, name: str, prompt: str) -> None:
    selected = surface.page.locator(".ias-selected")
    selected.locator(".ias-name").fill(name)
    selected.get_by_label("Prompt", exact=True).fill(prompt)


if __name__ == "__main__":
    main()
