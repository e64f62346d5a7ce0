"""Hires pass, then upscaling, then a face detailer: each of them beside InstantAS, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client import Client, Made, difference, same
from infotexts import done
from webui import EXTENSION, HERE, PROBE, WebUI, running

HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Nearest", "denoising_strength": 0.5, "width": 192}
HIRES |= {"height": 128, "steps": 4}
ROUNDING = 0.1
"""Grey levels of 255 by which two ways to make the same picture may differ on average."""
UPSCALE = {"enabled": True, "preset": "Upscale", "tile": 128}


@pytest.fixture(scope="module")
def chain(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    extensions = {"instantas": EXTENSION, "probe": PROBE, "detailer": HERE / "detailer_extension"}
    with running(WebUI(tmp_path_factory.mktemp("chain"), extensions, models)) as webui:
        webui.client.txt2img(width=64, height=64, steps=1)
        yield webui.client


def scripts(settings: dict[str, Any], detail: bool = True) -> dict[str, Any]:
    return {"alwayson_scripts": {"InstantAS": {"args": [settings]}, "Detailer": {"args": [detail]}}}


def face(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What lies within the detailer's face, away from its blurred border, and what lies well outside of it."""
    height, width = pixels.shape[:2]
    inside = pixels[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8]
    return inside, pixels[:, : width // 8]


def assert_only_the_face_differs(made: Made, plain: Made) -> None:
    (inside, outside), (was_inside, was_outside) = face(made.pixels), face(plain.pixels)
    assert np.array_equal(outside, was_outside)
    assert not np.array_equal(inside, was_inside)


def test_hires_then_upscaled_then_detailed(chain: Client) -> None:
    first = chain.txt2img({"enabled": True}, **HIRES)
    large = first.images[0]
    assert large.size == (288, 192)
    fields = {"denoising_strength": 0.3, "steps": 6}
    plain = chain.img2img(large, None, **fields, **scripts(UPSCALE, detail=False))
    made = chain.img2img(large, None, **fields, **scripts(UPSCALE))
    assert made.images[0].size == (576, 384)
    assert_only_the_face_differs(made, plain)
    (told,) = chain.get("/test/detailed")
    assert told["size"] == [576, 384]
    assert "InstantAS" not in told["infotext"]
    assert done(made) == done(plain)
    assert "Size: 576x384" in made.infotext


def test_in_one_generate_the_detailer_sees_the_finished_hires_picture(chain: Client) -> None:
    plain = chain.txt2img(None, **HIRES, **scripts({"enabled": True}, detail=False))
    made = chain.txt2img(None, **HIRES, **scripts({"enabled": True}), n_iter=2)
    assert_only_the_face_differs(Made(made.images[-2:], made.info), plain)
    assert [told["size"] for told in chain.get("/test/detailed")] == [[288, 192]] * 2
    assert done(made) == done(plain)


def test_all_three_in_one_generate(chain: Client) -> None:
    fields = HIRES | {"sampler_name": "Euler"}
    hires = chain.txt2img({**UPSCALE, "upscale_by": 1}, **fields)
    by_hand = chain.img2img(hires.images[0], UPSCALE, denoising_strength=0.3, steps=4, sampler_name="Euler")
    plain = chain.txt2img(None, **fields, **scripts(UPSCALE, detail=False))
    assert plain.images[0].size == (576, 384)
    assert difference(plain.images[0], by_hand.images[0]) < ROUNDING
    assert f"; upscaling: {done(by_hand)}" in done(plain)
    assert "no effect" not in done(plain)
    made = chain.txt2img(None, **fields, **scripts(UPSCALE), n_iter=2)
    assert [image.size for image in made.images] == [(576, 384)] * 2
    assert_only_the_face_differs(made, plain)
    assert [told["size"] for told in chain.get("/test/detailed")] == [[576, 384]] * 2
    assert done(made) == done(plain)


def changes(chain: Client, settings: dict[str, Any]) -> set[str]:
    """Names of host attributes that are other objects after an upscaled and detailed picture."""
    given = chain.txt2img()
    chain.post("/test/remember")
    chain.img2img(given.images[0], None, denoising_strength=0.3, steps=6, **scripts(settings))
    chain.get("/test/detailed")
    return set(chain.get("/test/changed"))


def test_nothing_is_left_behind(chain: Client) -> None:
    before = chain.txt2img()
    of_the_host = changes(chain, {"enabled": False})
    assert changes(chain, UPSCALE) - of_the_host == set()
    assert chain.get("/test/leftovers") == {"TiledSampling": 0, "TiledDenoiser": 0}
    assert same(chain.txt2img(), before)
