import io

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import expect

LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


class Fingers:
    """A touch screen: where the fingers are, in fractions of the canvas."""

    def __init__(self, surface):
        self.surface = surface
        self.session = surface.page.context.new_cdp_session(surface.page)

    def send(self, kind, fingers):
        points = [dict(zip(("x", "y"), self.surface.at(finger), strict=True)) for finger in fingers]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def down(self, *fingers):
        self.send("touchStart", fingers)

    def move(self, *fingers):
        self.send("touchMove", fingers)

    def up(self):
        self.send("touchEnd", ())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_everything_is_within_the_screen(new_surface, viewport, theme, tmp_path):
    surface = new_surface(viewport=viewport, color_scheme=theme)
    surface.draw_box((0.1, 0.1), (0.4, 0.8))
    assert surface.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    for part in (".ias-toolbar", ".ias-frame", ".ias-gridbar", ".ias-card", "#instantas_serve_go"):
        box = surface.page.locator(part).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= viewport["width"]
    assert surface.page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_menus_open_within_a_phones_screen(new_surface):
    surface = new_surface(viewport=PHONE, has_touch=True)
    for name in ("Picture", "Presets", "File"):
        surface.button(name).tap()
        box = surface.page.locator(".ias-menu-panel:visible").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        surface.page.keyboard.press("Escape")


def test_the_theme_of_the_page_is_followed(new_surface):
    def darkness(theme):
        surface = new_surface(color_scheme=theme)
        color = surface.page.evaluate(
            "getComputedStyle(document.querySelector('.ias-toolbar .ias-group')).backgroundColor"
        )
        return sum(int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(","))

    assert darkness("dark") < 200 < 600 < darkness("light")


THEMES = {
    "the WebUI's": "--block-background-fill: transparent",
    "see-through": "--block-background-fill: transparent; --background-fill-primary: rgba(127, 127, 127, 0.2)",
    "a gradient": "--background-fill-primary: linear-gradient(red, blue)",
}


ROUNDING = 2
"""Of 255: what two pictures of the same text differ by."""


def dress(surface, fills):
    """Another theme's colours."""
    surface.page.add_style_tag(content=f":root, .dark, body {{ {fills.replace(';', ' !important;')} !important; }}")


def inside(panel, corner=8):
    """The pixels of a panel without its round corners."""
    picture = Image.open(io.BytesIO(panel.screenshot(animations="disabled")))
    return picture.crop((corner, corner, picture.width - corner, picture.height - corner)).convert("RGB")


def alpha(locator):
    color = locator.evaluate("node => getComputedStyle(node).backgroundColor")
    parts = color[color.index("(") + 1 : -1].split(",")
    return float(parts[3]) if len(parts) == 4 else 1.0


@pytest.mark.parametrize("fills", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_shines_through_a_menu(new_surface, theme, fills):
    surface = new_surface(color_scheme=theme)
    dress(surface, fills)
    for name in ("Picture", "Presets", "File"):
        surface.open_menu(name)
        panel = surface.page.locator(".ias-menu-panel:visible")
        assert alpha(panel) == 1
        shown = []
        for below in ("red", "blue"):
            surface.page.evaluate(f"document.querySelector('.ias-work').style.background = '{below}'")
            shown.append(inside(panel))
        assert max(high for _, high in ImageChops.difference(*shown).getextrema()) <= ROUNDING
        surface.page.keyboard.press("Escape")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_lists_and_messages_are_opaque_too(new_surface, theme):
    surface = new_surface(color_scheme=theme)
    dress(surface, THEMES["see-through"])
    surface.page.evaluate("instantasEditor.app.say('hello')")
    for part in (".ias-notice", ".ias-panel-head select", ".ias-panel-head option"):
        assert alpha(surface.page.locator(part).first) == 1


def test_a_finger_draws_a_box_and_moves_it(new_surface):
    surface = new_surface(viewport=PHONE, has_touch=True)
    surface.page.locator(".ias-frame").scroll_into_view_if_needed()
    surface.button("Rectangle").tap()
    fingers = Fingers(surface)
    fingers.down((0.2, 0.2))
    fingers.move((0.4, 0.5))
    fingers.move((0.6, 0.85))
    fingers.up()
    (drawn,) = surface.regions()
    assert drawn["shape"]["width"] == pytest.approx(0.4, abs=0.02)
    fingers.down((0.4, 0.5))
    fingers.move((0.45, 0.5))
    fingers.move((0.57, 0.5))
    fingers.up()
    surface.wait(f"instantasEditor.app.store.drawing.regions[0].shape.x > {drawn['shape']['x'] + 0.1}")


def test_two_fingers_zoom(new_surface):
    surface = new_surface(viewport=PHONE, has_touch=True)
    surface.page.locator(".ias-frame").scroll_into_view_if_needed()
    before = surface.page.locator(".ias-paper").bounding_box()["width"]
    fingers = Fingers(surface)
    fingers.down((0.4, 0.5), (0.6, 0.5))
    fingers.move((0.3, 0.5), (0.7, 0.5))
    fingers.up()
    assert surface.page.locator(".ias-paper").bounding_box()["width"] > 1.5 * before
    assert surface.regions() == []
    surface.button("Whole canvas").tap()
    assert surface.page.locator(".ias-paper").bounding_box()["width"] == pytest.approx(before)


def test_a_zoomed_canvas_is_drawn_on_where_the_pointer_is(surface):
    surface.set_canvas(4096, 512)
    surface.button("Zoom in").click()
    surface.button("Zoom in").click()
    surface.draw_box((0.4, 0.3), (0.55, 0.7))
    shape = surface.regions()[0]["shape"]
    assert (shape["x"], shape["width"]) == (pytest.approx(0.4, abs=0.002), pytest.approx(0.15, abs=0.002))
    expect(surface.cards()).to_have_count(1)
    surface.button("Whole canvas").click()
