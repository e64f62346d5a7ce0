"""The button "Upscale with InstantAS" on the host's page: under a gallery, and in PNG Info."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Client
from PIL.PngImagePlugin import PngInfo
from webui import WebUI
from webui_tab import Tab, opened


@pytest.fixture
def page(browser: Any, webui: WebUI, request: pytest.FixtureRequest) -> Iterator[Any]:
    webui.client.txt2img(width=64, height=64, steps=1)
    with opened(browser, webui.url, request.node.name) as page:
        yield page


def wait_until_ready(page: Any) -> Tab:
    """The img2img tab, after the button has done its work."""
    img2img = Tab(page, "img2img")
    panels = [img2img.panel(name) for name in ("upscale_by", "width", "height")]
    for pause in (0, 3000):  # what the picture's parameters say may come late, and must not stay
        page.wait_for_timeout(pause)
        try:
            page.wait_for_function(_READY, arg=panels, timeout=90_000)
        except Exception:
            raise AssertionError(page.evaluate(_VALUES, panels)) from None
    assert img2img.is_on()
    return img2img


_VALUES = """panels => [...panels, "#img2img_denoising_strength"].map(
    panel => document.querySelector(`${panel} input[type=number]`)?.value).join(" ")"""
_READY = f"""panels => ({_VALUES})(panels) === "2 0 0 0.3" """


def test_under_a_gallery_it_sends_the_picture_and_enlarges_it(page: Any) -> None:
    txt2img = Tab(page)
    txt2img.open_panel()
    txt2img.small(width=128, height=128)
    txt2img.fill(txt2img.panel("width"), 160)
    txt2img.fill(txt2img.panel("height"), 96)
    txt2img.generate()
    assert txt2img.picture_size() == (160, 96)
    page.click("#txt2img_instantas_upscale")
    img2img = wait_until_ready(page)
    img2img.generate()
    assert img2img.picture_size() == (320, 192)
    # Once more, from the picture that was made so: its own parameters say the preset already.
    page.click("#img2img_instantas_upscale")
    page.wait_for_timeout(3000)
    wait_until_ready(page).generate()
    assert img2img.picture_size() == (640, 384)


def test_a_texture_stays_one_and_nothing_else_is_unfolded(page: Any) -> None:
    txt2img = Tab(page)
    txt2img.open_panel()
    txt2img.small(width=128, height=128)
    txt2img.choose(txt2img.panel("preset"), "Seamless texture")
    page.wait_for_timeout(1000)
    txt2img.generate()
    assert "wrap=both" in txt2img.infotext()
    page.click("#txt2img_instantas_upscale")
    img2img = wait_until_ready(page)
    page.wait_for_function(
        "panel => document.querySelector(`${panel} input`).value === 'both'", arg=img2img.panel("wrap")
    )
    assert page.locator(f"{img2img.panel('enabled')} .label-wrap.open").count() == 1
    img2img.generate()
    assert "wrap=both" in img2img.infotext()
    assert img2img.picture_size() == (256, 256)


def test_in_png_info_it_does_the_same(page: Any, client: Client, tmp_path: Path) -> None:
    made = client.txt2img({"enabled": True}, prompt="a lonely tree", width=192, height=128)
    texts, file = PngInfo(), io.BytesIO()
    texts.add_text("parameters", made.infotext)
    made.images[0].save(file, "PNG", pnginfo=texts)
    (tmp_path / "tree.png").write_bytes(file.getvalue())
    page.evaluate(
        "() => [...document.querySelectorAll('#tabs button')].find(tab => /png info/i.test(tab.textContent)).click()"
    )
    page.locator("#pnginfo_image input[type=file]").first.set_input_files(str(tmp_path / "tree.png"))
    page.wait_for_function("() => document.querySelector('#tab_pnginfo').innerText.includes('a lonely tree')")
    page.click("#pnginfo_instantas_upscale")
    img2img = wait_until_ready(page)
    assert page.input_value("#img2img_prompt textarea") == "a lonely tree"
    img2img.generate()
    assert img2img.picture_size() == (384, 256)
