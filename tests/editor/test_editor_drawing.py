import base64
import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from lib_instantas.editor.presets import PresetStore
from lib_instantas.regions_json import setup_from_json, setup_from_text
from lib_instantas.shapes import Mask, Polygon, Rectangle

LATENT = 8


def saved(surface, presets, name="drawn"):
    """The regions as Python reads them from the preset that the page saved."""
    surface.save_preset(name)
    return setup_from_json(PresetStore(presets).load(name)["setup"]).regions


@pytest.mark.parametrize(("width", "height"), [(4096, 512), (512, 4096), (1024, 1024)])
def test_a_drawn_box_arrives_in_python_within_a_latent_pixel(surface, presets, width, height):
    surface.set_canvas(width, height)
    start, stop = (0.13, 0.22), (0.61, 0.83)
    surface.draw_box(start, stop)
    (left, top), (right, bottom) = (surface.fraction(surface.at(point)) for point in (start, stop))
    (region,) = saved(surface, presets)
    assert isinstance(region.shape, Rectangle)
    assert region.shape.x * width == pytest.approx(left * width, abs=LATENT)
    assert region.shape.y * height == pytest.approx(top * height, abs=LATENT)
    assert region.shape.width * width == pytest.approx((right - left) * width, abs=LATENT)
    assert region.shape.height * height == pytest.approx((bottom - top) * height, abs=LATENT)


def test_the_canvas_has_its_true_aspect_ratio(surface):
    for width, height in ((4096, 512), (512, 4096), (777, 1333)):
        surface.set_canvas(width // 8 * 8, height // 8 * 8)
        box = surface.page.locator(".ias-paper").bounding_box()
        assert box["width"] / box["height"] == pytest.approx((width // 8) / (height // 8), rel=0.01)


def test_what_is_drawn_is_what_the_next_picture_is_made_with(surface):
    surface.draw_box((0.1, 0.1), (0.4, 0.9))
    surface.page.locator(".ias-selected").get_by_label("Prompt", exact=True).fill("a fox")
    (region,) = setup_from_text(surface.sent()).regions
    assert region.prompt == "a fox"


def test_a_polygon_keeps_its_corners(surface, presets):
    corners = [(0.2, 0.2), (0.5, 0.3), (0.45, 0.8), (0.22, 0.7)]
    surface.set_canvas(2048, 512)
    surface.draw_polygon(corners)
    (region,) = saved(surface, presets)
    assert isinstance(region.shape, Polygon)
    for (x, y), wanted in zip(region.shape.points, corners, strict=True):
        wanted_x, wanted_y = surface.fraction(surface.at(wanted))
        assert (x * 2048, y * 512) == (
            pytest.approx(wanted_x * 2048, abs=LATENT),
            pytest.approx(wanted_y * 512, abs=LATENT),
        )


def test_a_click_on_the_first_corner_closes_a_polygon(surface):
    surface.button("Polygon").click()
    for point in ((0.2, 0.2), (0.5, 0.3), (0.4, 0.8), (0.2, 0.2)):
        surface.page.mouse.click(*surface.at(point))
    (region,) = surface.regions()
    assert len(region["shape"]["points"]) == 3


def test_a_brushed_mask_covers_its_stroke_and_the_eraser_takes_away(surface, presets):
    surface.set_canvas(1024, 512)
    surface.paint((0.25, 0.5), (0.75, 0.5))
    (painted,) = saved(surface, presets)
    assert isinstance(painted.shape, Mask)
    rows, columns = painted.shape.values.shape
    brush = 96
    assert painted.shape.values[rows // 2, columns // 2] == 1
    assert painted.shape.values[0].max() == 0
    stroke = (0.5 * 1024 * brush + 3.1416 * (brush / 2) ** 2) / (1024 * 512)
    assert float(painted.shape.values.mean()) == pytest.approx(stroke, rel=0.1)
    surface.paint((0.5, 0.2), (0.5, 0.8), tool="Eraser")
    (erased,) = saved(surface, presets)
    assert erased.shape.values[rows // 2, columns // 2] == 0
    assert erased.shape.values[rows // 2, columns * 3 // 10] == 1


def test_erasing_from_a_box_makes_it_a_mask(surface, presets):
    surface.set_canvas(1024, 512)
    surface.draw_box((0.25, 0.25), (0.75, 0.75))
    surface.paint((0.5, 0.1), (0.5, 0.9), tool="Eraser")
    (region,) = saved(surface, presets)
    rows, columns = region.shape.values.shape
    middle = region.shape.values[rows // 2]
    assert (middle[columns // 2], middle[columns * 3 // 8], middle[columns // 8]) == (0, 1, 0)


def test_an_uploaded_mask_becomes_a_region(surface, presets):
    picture = Image.new("RGB", (40, 20))
    picture.paste((255, 255, 255), (0, 0, 20, 20))
    surface.page.locator(".ias-mask-file").set_input_files(
        {"name": "half.png", "mimeType": "image/png", "buffer": png(picture)}
    )
    expect(surface.cards()).to_have_count(1)
    (region,) = saved(surface, presets)
    columns = region.shape.values.shape[1]
    assert region.shape.values[:, : columns // 2 - 8].min() == 1
    assert region.shape.values[:, columns // 2 + 8 :].max() == 0


def png(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_region_is_moved_and_stretched_with_the_mouse(surface):
    surface.draw_box((0.2, 0.2), (0.4, 0.6))
    surface.drag((0.3, 0.4), (0.63, 0.52))
    moved = surface.regions()[0]["shape"]
    assert moved["x"] == pytest.approx(0.53, abs=0.01)
    assert moved["y"] == pytest.approx(0.32, abs=0.02)
    assert moved["width"] == pytest.approx(0.2, abs=0.005)
    surface.drag((0.73, 0.72), (0.87, 0.9))
    stretched = surface.regions()[0]["shape"]
    assert (stretched["x"], stretched["y"]) == (pytest.approx(moved["x"]), pytest.approx(moved["y"]))
    assert stretched["width"] == pytest.approx(0.34, abs=0.01)
    assert stretched["height"] == pytest.approx(0.58, abs=0.03)


def test_a_mask_is_moved_with_the_mouse(surface):
    surface.set_canvas(1024, 512)
    surface.paint((0.2, 0.3), (0.4, 0.3))
    surface.use("Select and move")
    before = surface.page.evaluate(
        "instantasEditor.app.masks.get(instantasEditor.app.store.drawing.regions[0].shape.png).bounds"
    )
    surface.drag((0.3, 0.3), (0.6, 0.6))
    after = surface.page.evaluate(
        "instantasEditor.app.masks.get(instantasEditor.app.store.drawing.regions[0].shape.png).bounds"
    )
    assert after["x"] - before["x"] == pytest.approx(0.3, abs=0.02)
    assert after["y"] - before["y"] == pytest.approx(0.3, abs=0.03)


def test_a_corner_of_a_polygon_is_moved(surface):
    surface.draw_polygon([(0.2, 0.2), (0.5, 0.3), (0.4, 0.8)])
    surface.drag((0.5, 0.3), (0.6, 0.15))
    corner = surface.regions()[0]["shape"]["points"][1]
    assert corner == [pytest.approx(0.6, abs=0.01), pytest.approx(0.15, abs=0.02)]


def test_masks_in_the_setup_are_small_pngs(surface):
    surface.set_canvas(4096, 4096)
    surface.paint((0.2, 0.2), (0.8, 0.8))
    text = surface.regions()[0]["shape"]["png"]
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        assert max(picture.size) <= 512
    assert len(text) < 32_768
