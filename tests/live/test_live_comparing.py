"""With and without: the same seed twice, shown under a slider; the panel is as it was."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Client, difference
from PIL import Image
from playwright.sync_api import expect
from webui import WebUI
from webui_tab import Tab, load

SCRIPT = "InstantAS: with and without"
COMPARISON = "#{tab}_instantas_comparison"
ASKED: dict[str, Any] = {"prompt": "", "negative_prompt": "", "sampler_name": "Euler", "seed": 5, "cfg_scale": 7}
GIVEN = {"width": 120, "height": 88, "steps": 1}

_FIELDS = """tab => [...document.querySelectorAll(`#tab_${tab} :is(input, textarea)`)].filter(
    field => !field.closest("[id^=generation_info], .instantas-comparison, [id$=_instantas_with_and_without_beside]")
        && field.type !== "file")
    .map(field => `${field.closest("[id]").id}: ${field.type === "checkbox" ? field.checked : field.value}`)"""
_SOURCES = """tab => [...new Set(
    [...document.querySelectorAll(`#${tab}_gallery .thumbnail-item img`)].map(i => i.src))]"""


@pytest.fixture
def page(browser: Any, webui: WebUI, request: pytest.FixtureRequest) -> Iterator[Any]:
    webui.client.txt2img(width=64, height=64, steps=1)
    theme = request.node.callspec.params.get("theme", "light") if hasattr(request.node, "callspec") else "light"
    page = browser.new_page(viewport={"width": 1400, "height": 1300})
    load(page, f"{webui.url}/?__theme={theme}")
    yield page
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{request.node.name}.png", full_page=True)
    page.close()


@pytest.fixture
def txt2img(page: Any) -> Tab:
    return with_small_pictures(Tab(page))


@pytest.fixture
def img2img(page: Any, client: Client, tmp_path: Path) -> Tab:
    client.txt2img(**{**ASKED, **GIVEN}).images[0].save(tmp_path / "given.png")
    page.locator("#tabs > .tab-nav button").nth(1).click()
    page.locator("#img2img_image input[type=file]").first.set_input_files(str(tmp_path / "given.png"))
    page.wait_for_selector("#img2img_image img")
    return with_small_pictures(Tab(page, "img2img"))


def with_small_pictures(tab: Tab) -> Tab:
    tab.open_panel()
    tab.small()
    tab.fill(f"#{tab.name}_seed", 5)
    tab.page.wait_for_timeout(1000)  # Gradio answers one change after the other
    return tab


def comparison(tab: Tab) -> str:
    """The selector of what stands below the tab's gallery."""
    return COMPARISON.format(tab=tab.name)


def fields(tab: Tab) -> list[str]:
    """What every control of the tab says."""
    return list(tab.page.evaluate(_FIELDS, tab.name))


def sources(tab: Tab) -> list[str]:
    """The addresses of the pictures in the gallery."""
    return list(tab.page.evaluate(_SOURCES, tab.name))


def made(tab: Tab) -> list[Image.Image]:
    """The pictures in the gallery, as the host serves their files."""
    return [Image.open(io.BytesIO(tab.page.request.get(source).body())) for source in sources(tab)]


def chosen_script(tab: Tab) -> Any:
    return tab.page.locator(f"#tab_{tab.name} #script_list input").first


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_button_shows_both_and_leaves_every_setting_as_it_was(txt2img: Tab, client: Client, theme: str) -> None:
    before = fields(txt2img)
    first, second = compared(txt2img)
    assert "InstantAS:" in first.info["parameters"]
    assert "InstantAS" not in second.info["parameters"]
    for picture, settings in ((first, {"enabled": True}), (second, None)):
        alone = client.txt2img(settings, width=320, height=192, steps=2, **ASKED)
        assert difference(picture, alone.images[0]) < 1
        assert f"Seed: {ASKED['seed']}" in picture.info["parameters"]
    assert difference(first, second) > 1
    assert_as_before(txt2img, before)
    assert_slides(txt2img)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_img2img_the_given_picture_is_enlarged_with_and_without(
    img2img: Tab, client: Client, tmp_path: Path, theme: str
) -> None:
    img2img.choose(img2img.panel("preset"), "Upscale")
    img2img.wait_for_line("120x88 → 240x176 by Lanczos: ")
    img2img.fill("#img2img_steps", 4)
    img2img.page.wait_for_timeout(1000)
    before = fields(img2img)
    first, second = compared(img2img)
    assert [picture.size for picture in (first, second)] == [(240, 176)] * 2
    given = Image.open(tmp_path / "given.png")
    asked = {**ASKED, "steps": 4, "denoising_strength": 0.75, "width": 320, "height": 192}
    alone = client.img2img(given, {"enabled": True, "preset": "Upscale"}, **asked)
    without = client.img2img(given, **{**asked, "width": 240, "height": 176})
    assert difference(first, alone.images[0]) < 1
    assert difference(second, without.images[0]) < 1
    assert difference(first, second) > 1
    assert_as_before(img2img, before)
    assert_slides(img2img)


def compared(tab: Tab) -> tuple[Image.Image, Image.Image]:
    """Press the button, and wait for both pictures."""
    tab.page.click(tab.panel("compare"))
    tab.page.wait_for_selector(f"{comparison(tab)} img", timeout=90_000)
    first, second = made(tab)
    return first, second


def assert_as_before(tab: Tab, before: list[str]) -> None:
    expect(chosen_script(tab)).to_have_value("None")
    assert fields(tab) == before


def assert_slides(tab: Tab) -> None:
    """With the keyboard and by dragging, and the upper picture is cut off there."""
    whole = tab.page.locator(comparison(tab))
    slider, over = whole.locator("input[type=range]"), whole.locator(".instantas-over")
    shown = whole.locator("img").evaluate_all("pictures => pictures.map(picture => picture.src)")
    assert sorted(shown) == sorted(sources(tab))
    assert "InstantAS" in slider.get_attribute("aria-label")
    assert "50%" in over.evaluate("picture => getComputedStyle(picture).clipPath")
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "70 % InstantAS"
    assert "30%" in over.evaluate("picture => getComputedStyle(picture).clipPath")
    box = slider.bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    tab.page.mouse.up()
    assert 20 < int(slider.input_value()) < 30


def test_the_hosts_list_compares_with_a_preset_until_the_next_picture(txt2img: Tab) -> None:
    txt2img.choose("#tab_txt2img #script_list", SCRIPT)
    beside = "#script_txt2img_instantas_with_and_without_beside"
    txt2img.page.wait_for_selector(f"{beside} input", state="visible")
    txt2img.choose(beside, "As in the paper")
    txt2img.page.click("#txt2img_generate")
    txt2img.page.wait_for_selector(f"{comparison(txt2img)} img", timeout=90_000)
    first, second = made(txt2img)
    assert "edges=ring" not in first.info["parameters"]
    assert "edges=ring, fit=native" in second.info["parameters"]
    expect(txt2img.page.locator(f"{comparison(txt2img)} .instantas-right")).to_have_text("As in the paper")
    txt2img.choose("#tab_txt2img #script_list", "None")
    txt2img.generate()
    expect(txt2img.page.locator(comparison(txt2img))).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_would_be_the_same_is_made_once_and_said(txt2img: Tab, theme: str) -> None:
    txt2img.small(128, 128)
    txt2img.wait_for_line("nothing to do, 128x128 fits one tile")
    txt2img.page.click(txt2img.panel("compare"))
    said = txt2img.page.locator(f"{comparison(txt2img)} .instantas-told")
    expect(said).to_contain_text("Nothing to compare: with these settings InstantAS changes nothing", timeout=90_000)
    assert len(made(txt2img)) == 1
    expect(chosen_script(txt2img)).to_have_value("None")
    txt2img.page.locator(f"{comparison(txt2img)} button").click()
    expect(said).to_have_count(0)


def wait_until(client: Client, *states: str) -> None:
    """Wait until the host says one of these of its job."""
    deadline = time.monotonic() + 90
    while not any(map(client.get("/sdapi/v1/progress?skip_current_image=true")["state"].get, states)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_interrupted_there_is_one_picture_and_nothing_to_compare(txt2img: Tab, client: Client) -> None:
    txt2img.fill("#txt2img_steps", 150)
    txt2img.page.click(txt2img.panel("compare"))
    txt2img.page.wait_for_selector("#txt2img_interrupt", state="visible")
    expect(chosen_script(txt2img)).to_have_value("None")
    wait_until(client, "job_count")  # a host forgets an interrupt that comes before its job begins
    txt2img.page.click("#txt2img_interrupt")
    wait_until(client, "interrupted", "stopping_generation")
    at_once = txt2img.page.locator("#txt2img_interrupting")
    if at_once.is_visible():  # such a host would finish the picture first
        at_once.click()
    txt2img.page.wait_for_function(f"tab => ({_SOURCES})(tab).length > 0", arg=txt2img.name, timeout=90_000)
    txt2img.page.wait_for_timeout(2000)
    (only,) = made(txt2img)
    assert "InstantAS:" in only.info["parameters"]
    expect(txt2img.page.locator(comparison(txt2img))).to_have_count(0)


def test_the_api_makes_both_too(client: Client) -> None:
    asked = {"width": 320, "height": 192, "steps": 2, **ASKED}
    both = client.txt2img({"enabled": True, "width": 333}, script_name=SCRIPT, script_args=[], **asked)
    assert [image.size for image in both.images] == [(333, 192), (336, 192)]
    without = client.txt2img(**{**asked, "width": 336})
    assert difference(both.images[1], without.images[0]) < 1
    assert both.info["infotexts"][1] == without.infotext


LEFT = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a dog"}


@pytest.mark.parametrize(
    ("settings", "count"),
    [({}, 1), ({"style_alignment": 0.4}, 1), ({"vae": "on"}, 1), ({"regions": [LEFT]}, 2), ({"wrap": "both"}, 2)],
)
def test_in_one_tile_there_are_two_only_where_something_acts(
    client: Client, settings: dict[str, Any], count: int
) -> None:
    asked = {"width": 128, "height": 128, "steps": 2, **ASKED}
    made = client.txt2img({"enabled": True, **settings}, script_name=SCRIPT, script_args=[], **asked)
    assert len(made.images) == count
    assert all(difference(made.images[0], other) > 0.1 for other in made.images[1:])


def test_a_given_picture_is_enlarged_in_both(client: Client) -> None:
    given = client.txt2img(**{**ASKED, **GIVEN}).images[0]
    asked = {**ASKED, "width": 64, "height": 64, "steps": 4, "denoising_strength": 0.5}
    both = client.img2img(given, {"enabled": True, "upscale_by": 2}, script_name=SCRIPT, script_args=[], **asked)
    assert [image.size for image in both.images] == [(240, 176), (240, 176)]
    without = client.img2img(given, **{**asked, "width": 240, "height": 176})
    assert difference(both.images[1], without.images[0]) < 1
    assert both.info["infotexts"][1] == without.infotext
