"""Hires pass, then upscaling, then a face detailer: each of them beside InstantAS, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client import Client, Made, RefusedError, difference, same
from infotexts import done, recorded
from webui import EXTENSION, HERE, PROBE, WebUI, running

HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Nearest", "denoising_strength": 0.5, "width": 192}
HIRES |= {"height": 128, "steps": 4}
ROUNDING = 0.1
"""Grey levels of 255 by which two ways to make the same picture may differ on average."""
UPSCALE = {"enabled": True, "preset": "Upscale", "tile": 128}


@pytest.fixture(scope="module")
def chain(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    extensions = {"instantas": EXTENSION, "probe": PROBE}
    extensions |= {name: HERE / f"{name}_extension" for name in ("detailer", "wildcards")}
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


SMALL = {"width": 128, "height": 128, "steps": 6, "sampler_name": "Euler"}
"""Of one tile, and so of one call of the UNet in each step; enlarged it has four tiles."""
IN_THE_MIDDLE = 6 + 3
"""The call in which the first picture is being enlarged: its third tile."""
STOPPED = "upscale_by had no effect: it was stopped"
LEFT = {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}


def test_styles_are_in_the_prompts_of_the_regions_too(chain: Client) -> None:
    styled = {"styles": ["Live"], **SMALL}
    settings = {**UPSCALE, "regions": [{"shape": LEFT, "prompt": "a dog", "negative_prompt": "cats"}]}
    first = chain.txt2img({**settings, "upscale_by": 1}, **styled)
    by_hand = chain.img2img(first.images[0], settings, denoising_strength=0.3, **styled)
    made = chain.txt2img(settings, **styled)
    assert made.images[0].size == (256, 256)
    assert difference(made.images[0], by_hand.images[0]) < ROUNDING
    assert f"; upscaling: {done(by_hand).partition(',')[0]}" in done(made)
    unstyled = chain.txt2img(settings, **SMALL)
    assert difference(made.images[0], unstyled.images[0]) > ROUNDING


@pytest.mark.parametrize("batch", [{"batch_size": 2}, {"n_iter": 2}])
def test_each_picture_is_enlarged_with_its_own_choice_of_wildcards(chain: Client, batch: dict[str, int]) -> None:
    both = chain.txt2img({**UPSCALE, "regions": [region("a {red|blue} dragon")]}, **SMALL, **batch)
    for i, colour in enumerate(("red", "blue")):
        alone = chain.txt2img({**UPSCALE, "regions": [region(f"a {colour} dragon")]}, **SMALL, seed=5 + i)
        assert both.images[i - 2].size == alone.images[0].size == (256, 256)
        assert difference(both.images[i - 2], alone.images[0]) < ROUNDING
        said = recorded(both.info["infotexts"][i - 2])["settings"]["regions"]["regions"][0]
        assert said["prompt"] == f"a {colour} dragon"


def region(prompt: str) -> dict[str, Any]:
    return {"shape": LEFT, "prompt": prompt}


def test_interrupted_in_the_middle_the_finished_picture_is_there_as_it_was(chain: Client) -> None:
    plain = chain.txt2img({**UPSCALE, "upscale_by": 1, "fidelity": 0}, **SMALL)
    chain.post("/test/begin", {"at": IN_THE_MIDDLE, "action": "interrupt"})
    made = chain.txt2img(UPSCALE, **SMALL, n_iter=2)
    assert len(chain.get("/test/seen")) == IN_THE_MIDDLE
    assert [image.size for image in made.images] == [(128, 128)]
    assert same(made, plain)
    assert done(made) == f"{done(plain)}, {STOPPED}"
    assert "Size: 128x128" in made.infotext
    after = chain.txt2img(UPSCALE, **SMALL)
    assert after.images[0].size == (256, 256)
    assert "had no effect" not in done(after)


@pytest.mark.parametrize("batch", [{"batch_size": 2}, {"n_iter": 2}])
def test_skipped_one_picture_stays_as_it_was_and_the_next_is_enlarged(chain: Client, batch: dict[str, int]) -> None:
    plain = chain.txt2img({**UPSCALE, "upscale_by": 1}, **SMALL)
    second = chain.txt2img(UPSCALE, **SMALL, seed=6)
    chain.post("/test/begin", {"at": IN_THE_MIDDLE, "action": "skip"})
    made = chain.txt2img(UPSCALE, **SMALL, **batch)
    chain.get("/test/seen")
    first, other = made.images[-2:]
    assert (first.size, other.size) == ((128, 128), (256, 256))
    assert difference(first, plain.images[0]) < ROUNDING
    assert difference(other, second.images[0]) < ROUNDING
    assert [STOPPED in text for text in made.info["infotexts"][-2:]] == [True, False]
    assert ["upscaling: " in text for text in made.info["infotexts"][-2:]] == [False, True]


def test_a_picture_that_is_skipped_before_it_is_finished_is_not_enlarged(chain: Client) -> None:
    chain.post("/test/begin", {"at": 2, "action": "skip"})
    made = chain.txt2img(UPSCALE, **SMALL, n_iter=2)
    chain.get("/test/seen")
    assert [image.size for image in made.images[-2:]] == [(128, 128), (256, 256)]
    assert [STOPPED in text for text in made.info["infotexts"][-2:]] == [True, False]


def test_a_stop_after_the_current_picture_lets_it_be_enlarged(chain: Client) -> None:
    chain.post("/test/begin", {"at": 2, "action": "stop"})
    made = chain.txt2img(UPSCALE, **SMALL, n_iter=2)
    chain.get("/test/seen")
    assert [image.size for image in made.images] == [(256, 256)]
    assert "had no effect" not in done(made)


@pytest.mark.parametrize("action", ["interrupt", "skip"])
def test_nothing_is_left_behind_where_enlarging_ends_early(chain: Client, action: str) -> None:
    before = chain.txt2img()
    by_the_host_itself = chain.changes(action, 3, None, **SMALL)
    assert chain.changes(action, IN_THE_MIDDLE, UPSCALE, **SMALL) - by_the_host_itself == set()
    assert chain.get("/test/leftovers") == {"TiledSampling": 0, "TiledDenoiser": 0}
    assert same(chain.txt2img(), before)


def test_where_enlarging_fails_the_finished_picture_is_there_and_why(chain: Client) -> None:
    plain = chain.txt2img({**UPSCALE, "upscale_by": 1}, **SMALL)
    chain.post("/test/begin", {"at": IN_THE_MIDDLE, "action": "raise"})
    made = chain.txt2img(UPSCALE, **SMALL)
    chain.get("/test/seen")
    assert same(made, plain)
    assert "upscale_by had no effect: the UNet failed on purpose" in made.infotext
    assert chain.get("/test/leftovers") == {"TiledSampling": 0, "TiledDenoiser": 0}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"upscaler": "No such"}, "upscaler must be one of"),
        ({"upscale_by": 9}, "upscale_by must be between 1 and 8"),
        ({"method": "ScaleCrafter", "compose": True}, "compose must be False with the method ScaleCrafter"),
    ],
)
def test_what_can_be_known_is_refused_before_anything_is_made(
    chain: Client, settings: dict[str, Any], words: str
) -> None:
    chain.post("/test/begin")
    with pytest.raises(RefusedError, match=f"422: InstantAS: {words}"):
        chain.txt2img({**UPSCALE, **settings}, **SMALL)
    assert chain.get("/test/seen") == []
