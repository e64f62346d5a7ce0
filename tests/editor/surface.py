"""The editor as a user sees and handles it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Locator, Page, expect

PATIENCE = 60_000
"""Milliseconds until something that does not happen counts as broken, on a machine that is busy with other things."""

# The page keeps nothing of the editor's in its globals. Its modules are the same to whoever asks for them by their
# addresses, so that tests can have them as `instantasEditor` once the editor is there.
MODULES = """(async () => {
    while (!globalThis.document?.querySelector(".ias-paper")) await new Promise(resolve => setTimeout(resolve, 50));
    const version = await (await fetch("instantas/browser/version")).text();
    const files = ["editor", "fields", "nodes", "model", "konva"];
    const addresses = files.map(file => new URL(`instantas/browser/${version}/${file}.mjs`, document.baseURI));
    const [editor, fields, nodes, model, konva] = await Promise.all(addresses.map(address => import(address)));
    const app = editor.editorIn(document.getElementById("instantas_editor_root"));
    globalThis.instantasEditor = {app, fields, nodes, model, Konva: konva.default};
})()"""

Point = tuple[float, float]
"""(x, y) in fractions of the canvas."""


class Surface:
    """One opened page with the editor in it. Positions are fractions of the canvas as it lies on the screen."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))
        page.add_init_script(MODULES)
        page.evaluate(f"() => {{ {MODULES}; }}")  # where the page is open already
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)

    def _note(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.foreign.append(url)

    def open(self) -> Surface:
        self.page.goto(self.address)
        expect(self.page.locator(".ias-paper")).to_be_visible()
        self.wait("instantasEditor.app.stage.plan !== null")
        return self

    def clear(self) -> None:
        """Nothing drawn and nothing to undo, as in a page that is opened for the first time.

        What the server was asked is answered before: a preset that comes late replaces what is drawn by then.
        """
        self.wait("!instantasEditor.app.server.current")
        self.errors.clear()
        self.foreign.clear()
        self.page.keyboard.press("Escape")
        self.page.evaluate(
            """async () => {
                const {actions, store, links} = instantasEditor.app;
                instantasEditor.fields.write(document.getElementById("instantas_serve_steps"), 20);
                links.write("gamma", 0.25);
                await links.write("schedule", "golden");
                actions.replace(instantasEditor.model.emptyDrawing());
                Object.assign(store, {past: [], future: []});
                store.look({tool: "select", brush: 96, grid: true, step: 0});
            }"""
        )

    def wait(self, condition: str) -> None:
        self.page.wait_for_function(f"globalThis.instantasEditor && ({condition})")

    def button(self, name: str) -> Locator:
        return self.page.locator("#instantas_editor").get_by_role("button", name=name, exact=True)

    def set_canvas(self, width: int, height: int) -> None:
        for side, value in (("width", width), ("height", height)):
            self.page.locator(f".ias-canvas-{side}").fill(str(value))
            self.page.locator(f".ias-canvas-{side}").press("Enter")
        self.wait(f"JSON.stringify(instantasEditor.app.stage.plan.canvas) === '{_latents(width, height)}'")
        self.wait_for_the_grid()

    def wait_for_the_grid(self) -> None:
        """Until the grid that is shown is the one of all that is set now."""
        self.wait("instantasEditor.app.gridbar.asked === instantasEditor.app.gridbar.root.dataset.plan")

    def at(self, point: Point) -> Point:
        """The place on the screen, whole CSS pixels as a mouse has them."""
        box = self.page.locator(".ias-paper").bounding_box()
        assert box is not None
        return round(box["x"] + point[0] * box["width"]), round(box["y"] + point[1] * box["height"])

    def fraction(self, place: Point) -> Point:
        box = self.page.locator(".ias-paper").bounding_box()
        assert box is not None
        return (place[0] - box["x"]) / box["width"], (place[1] - box["y"]) / box["height"]

    def drag(self, *points: Point) -> None:
        self.page.locator(".ias-frame").scroll_into_view_if_needed()
        mouse = self.page.mouse
        mouse.move(*self.at(points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.at(point), steps=3)
        mouse.up()

    def draw_box(self, start: Point, stop: Point) -> None:
        self.button("Rectangle").click()
        self.drag(start, stop)

    def draw_polygon(self, points: Sequence[Point]) -> None:
        self.button("Polygon").click()
        self.page.locator(".ias-frame").scroll_into_view_if_needed()
        for point in points:
            self.page.mouse.click(*self.at(point))
        self.page.locator(".ias-frame").press("Enter")

    def paint(self, *points: Point, tool: str = "Brush") -> None:
        self.button(tool).click()
        self.drag(*points)
        self.wait("instantasEditor.app.pointer.drawing === null")

    def use(self, tool: str) -> None:
        self.button(tool).click()

    def cards(self) -> Locator:
        return self.page.locator(".ias-card")

    def regions(self) -> list[dict[str, Any]]:
        """What the page holds, as the API takes it."""
        self.wait("true")
        setup = self.page.evaluate("instantasEditor.model.toSetup(instantasEditor.app.store.drawing)")
        regions: list[dict[str, Any]] = setup["regions"]
        return regions

    def names(self) -> list[str]:
        return [region["name"] for region in self.regions()]

    def sent(self) -> str:
        """The text that the next generation would be given."""
        return self.page.locator("#instantas_serve_regions textarea").input_value()

    def save_preset(self, name: str) -> None:
        self.open_menu("Presets")
        field = self.page.locator('input[aria-label="Preset name"]')  # some hosts have fields of that name elsewhere
        field.fill(name)
        field.press("Enter")
        expect(field).to_have_value("")
        self.page.keyboard.press("Escape")

    def open_menu(self, name: str) -> None:
        button = self.button(name)
        if button.get_attribute("aria-expanded") == "false":
            button.click()


def _latents(width: int, height: int) -> str:
    return f'{{"height":{height // 8},"width":{width // 8}}}'
