import base64
import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from lib_instantas.regions_json import setup_from_text

PICTURE = "#instantas_serve_picture img"


@pytest.fixture
def quick(surface):
    """Two steps on a small canvas that still takes two tiles."""
    surface.set_canvas(1024, 256)
    surface.page.locator("#instantas_serve_steps input[type=number]").fill("2")
    surface.page.locator("#instantas_serve_seed input").fill("7")
    return surface


def generate(surface, until="done"):
    """Click on Generate and wait for the line that says how it ended; what stood there before does not count."""
    line = surface.page.locator(".instantas-progress")
    line.evaluate("element => element.dataset.before = 'true'")
    surface.page.locator("#instantas_serve_go").click()
    ended = surface.page.locator(f".instantas-progress[data-state={until}]:not([data-before])")
    expect(ended).to_be_visible(timeout=60_000)
    return ended


def picture(surface):
    source = surface.page.locator(PICTURE).get_attribute("src")
    return Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))


def test_a_picture_is_made_of_what_is_drawn(quick):
    quick.draw_box((0.1, 0.1), (0.45, 0.9))
    quick.page.locator(".ias-selected").get_by_label("Prompt", exact=True).fill("a fox")
    generate(quick)
    made = picture(quick)
    assert made.size == (1024, 256)
    infotext = quick.page.locator("#instantas_serve_infotext textarea").input_value()
    assert "Seed: 7" in infotext
    assert "Size: 1024x256" in infotext
    assert made.info["parameters"] == infotext
    assert "a fox" in infotext
    (region,) = setup_from_text(quick.sent()).regions
    assert region.prompt == "a fox"


def test_the_last_result_lies_under_the_regions(quick):
    generate(quick)
    expect(quick.page.locator(".ias-picture")).to_have_attribute(
        "src", quick.page.locator(PICTURE).get_attribute("src")
    )
    quick.open_menu("Picture")
    quick.button("No picture").click()
    expect(quick.page.locator(".ias-picture")).to_be_hidden()
    quick.button("Last result").click()
    expect(quick.page.locator(".ias-picture")).to_be_visible()
    quick.button("No picture").click()


def test_a_file_lies_under_the_regions_and_survives_a_reload(new_surface):
    surface = new_surface()
    buffer = io.BytesIO()
    Image.new("RGB", (64, 16), (200, 30, 30)).save(buffer, "PNG")
    surface.page.locator(".ias-picture-file").set_input_files(
        {"name": "reference.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    )
    expect(surface.page.locator(".ias-picture")).to_be_visible()
    surface.page.reload()
    expect(surface.page.locator(".ias-picture")).to_be_visible()


def test_a_wrong_setting_is_named_and_nothing_is_made(quick):
    quick.page.locator("#instantas_serve_seed input").fill(str(2**33))
    expect(generate(quick, until="error")).to_contain_text("seed must be at most")


def test_a_generation_can_be_stopped(quick):
    quick.page.locator("#instantas_serve_steps input[type=number]").fill("150")
    quick.page.locator("#instantas_serve_go").click()
    expect(quick.page.locator(".instantas-progress[data-state=busy]")).to_be_visible()
    quick.page.locator("#instantas_serve_stop").click()
    expect(quick.page.locator(".instantas-progress")).to_contain_text("Stopped.")


def test_settings_chosen_beside_the_grid_reach_the_picture(quick):
    quick.page.locator(".ias-gridbar").get_by_label("Schedule", exact=True).select_option("cyclic")
    quick.page.locator(".ias-gamma input[type=number]").fill("0.3")
    quick.wait("JSON.parse(document.querySelector('.ias-gridbar').dataset.plan).settings.schedule === 'cyclic'")
    generate(quick)
    infotext = quick.page.locator("#instantas_serve_infotext textarea").input_value()
    assert " gamma=0.3, schedule=cyclic, " in infotext
