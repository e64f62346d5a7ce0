"""360° pictures and textures: their borders meet in every pass and at every size, and viewers know what they are."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from client import Client
from PIL import Image
from test_generation import checkpoint
from test_live_vae import LIKE_NEIGHBOURS, painter, steps_at_borders  # noqa: F401 (painter is a fixture)
from webui import WebUI
from webui_tab import Tab, opened

from lib_instantas.panorama import XMP_KEY, sphere_xmp

SPHERE = {"enabled": True, "preset": "360° panorama", "tile": 128}
SMALL_SPHERE = {"width": 384, "height": 192}

SCENE = {"prompt": "a harbour at sunset with a lighthouse", "steps": 10, "cfg_scale": 5}
HIRES = {"width": 512, "height": 256, "enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.5}


@pytest.mark.parametrize(
    ("name", "settings", "fields", "size"),
    [
        ("exact", {"width": 765, "height": 382}, {}, (765, 382)),
        ("hires, Lanczos", {}, {**HIRES, "hr_upscaler": "Lanczos"}, (768, 384)),
        ("hires, Latent", {}, {**HIRES, "hr_upscaler": "Latent"}, (768, 384)),
        ("composed first", {"compose": True}, {"width": 768, "height": 384}, (768, 384)),
        ("composed first, exact", {"compose": True, "width": 765, "height": 382}, {}, (765, 382)),
    ],
)
def test_the_borders_of_a_panorama_meet_in_every_pass_and_at_the_exact_size(
    painter: Client,  # noqa: F811
    name: str,
    settings: dict[str, Any],
    fields: dict[str, Any],
    size: tuple[int, int],
) -> None:
    wrapped = {"enabled": True, "vae": "on", "vae_tile": 64, "preset": "360° panorama", **settings}
    made = painter.txt2img(wrapped, **SCENE, **fields, **checkpoint("small_world"))
    assert made.images[0].size == size
    vertical, horizontal = steps_at_borders(made.pixels.astype(float), every=8)
    assert horizontal < LIKE_NEIGHBOURS < vertical


def test_a_360_picture_says_so_in_the_answer_and_in_the_files(client: Client, webui: WebUI) -> None:
    made = client.txt2img(SPHERE, **SMALL_SPHERE, save_images=True, seed=360)
    expected = sphere_xmp((192, 384))
    assert made.images[0].info[XMP_KEY] == expected
    assert newest(webui, ".png").info[XMP_KEY] == expected
    as_jpeg = {"override_settings": {"sd_model_checkpoint": "sd1.safetensors", "samples_format": "jpg"}}
    client.txt2img(SPHERE, **SMALL_SPHERE, save_images=True, seed=361, **as_jpeg)
    jpeg = newest(webui, ".jpg")
    segments = [content for marker, content in jpeg.applist if marker == "APP1"]
    assert segments[-1].endswith(expected.encode())
    assert "Steps: 2" in segments[0].decode("utf-16-be", "replace") + segments[0][1:].decode("utf-16-be", "replace")


def newest(webui: WebUI, ending: str) -> Any:
    file = max((webui.data / "pictures").rglob(f"*{ending}"), key=lambda path: path.stat().st_mtime)
    return Image.open(io.BytesIO(file.read_bytes()))


def test_its_metadata_can_still_be_read(client: Client) -> None:
    made = client.txt2img(SPHERE, **SMALL_SPHERE)
    file = io.BytesIO()
    made.images[0].save(file, "PNG", pnginfo=_texts(made.images[0]))
    answer = client.post("/sdapi/v1/png-info", {"image": base64.b64encode(file.getvalue()).decode()})
    assert answer["info"] == made.infotext


def _texts(picture: Image.Image) -> Any:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for key in ("parameters", XMP_KEY):
        texts.add_text(key, picture.info[key])
    return texts


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (None, SMALL_SPHERE),
        ({"enabled": True}, SMALL_SPHERE),
        ({"enabled": True, "wrap": "both"}, SMALL_SPHERE),
        ({"enabled": True, "wrap": "horizontal"}, {"width": 384, "height": 256}),
    ],
)
def test_no_other_picture_does(client: Client, settings: dict[str, Any] | None, fields: dict[str, Any]) -> None:
    assert XMP_KEY not in client.txt2img(settings, **fields).images[0].info


@pytest.fixture
def page(browser: Any, webui: WebUI, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened(browser, webui.url, request.node.name) as page:
        yield page


STAGE = "#instantas_viewer_root .ias-view-stage"


def test_the_viewer_shows_a_panorama_all_around_and_a_texture_side_by_side(page: Any, webui: WebUI) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tab = Tab(page)
    tab.open_panel()
    tab.small(width=256, height=128)
    tab.generate()
    assert not [url for url in asked if "pannellum" in url]
    page.click("#txt2img_instantas_view")
    page.wait_for_selector(f"{STAGE}[data-kind=sphere] canvas", state="visible", timeout=90_000)
    assert [url for url in asked if url.startswith(f"{webui.url}/instantas/browser/") and url.endswith("/pannellum.js")]
    assert not [
        url for url in asked if not url.startswith((webui.url, "data:", "blob:", f"ws://127.0.0.1:{webui.port}"))
    ]
    page.wait_for_timeout(500)
    seen = np.asarray(Image.open(io.BytesIO(page.locator(STAGE).screenshot())).convert("RGB"))
    assert seen.std() > 5
    page.click("#instantas_viewer_root button[value=tiled]")
    page.wait_for_selector(f"{STAGE}[data-kind=tiled] .ias-view-tiled", state="visible")
    assert page.locator(f"{STAGE} canvas").count() == 0
    tiled = Image.open(io.BytesIO(page.locator(f"{STAGE} .ias-view-tiled").screenshot())).convert("RGB")
    third = tiled.width // 3, tiled.height // 3
    first, last = (
        np.asarray(tiled.crop((x, y, x + third[0], y + third[1])).resize((96, 48)), float)
        for x, y in ((0, 0), (2 * tiled.width // 3, 2 * tiled.height // 3))
    )
    assert np.abs(first - last).mean() < np.abs(first - first.mean()).mean() / 4


@pytest.mark.parametrize(
    ("preset", "size", "kind"),
    [("360° panorama", (512, 128), "sphere"), ("Seamless texture", (256, 128), "tiled")],
)
def test_the_viewer_knows_what_a_picture_was_made_for(page: Any, preset: str, size: tuple[int, int], kind: str) -> None:
    tab = Tab(page)
    tab.open_panel()
    tab.small(width=size[0], height=size[1])
    tab.choose(tab.panel("preset"), preset)
    page.wait_for_timeout(1000)
    tab.generate()
    page.click("#txt2img_instantas_view")
    page.wait_for_selector(f"{STAGE}[data-kind={kind}]", state="visible", timeout=90_000)
    seen = page.locator(STAGE).bounding_box()
    assert seen["y"] >= 0
    assert seen["y"] + seen["height"] <= page.viewport_size["height"] + 1
