"""A background prompt for the tiles in the real host, with a model that paints things: Small World."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from client import Client, RefusedError, difference, same
from infotexts import done, recorded
from test_generation import checkpoint
from test_live_vae import painter  # noqa: F401 (a fixture)
from webui import WebUI
from webui_tab import Tab, opened

BACKGROUND = "a meadow by day"
COMPOSE = {"enabled": True, "compose": True}
ON = {**COMPOSE, "compose_background": BACKGROUND}
SCENE = {"prompt": "a meadow by day with a house", "negative_prompt": "a city", "width": 512, "height": 256}
SCENE |= {"steps": 8, "cfg_scale": 5, **checkpoint("small_world")}
FOUND = "background prompt on all but "
LITTLE = 30.0
"""Per cent of a picture that a house and what is around it may have."""


def share(text: str) -> float:
    """Per cent of the canvas that the background leaves to the whole prompt."""
    return float(text.split(FOUND)[1].split("%")[0])


def test_the_house_is_found_and_the_tiles_paint_another_picture(painter: Client) -> None:  # noqa: F811
    plain, made = painter.txt2img(COMPOSE, **SCENE), painter.txt2img(ON, **SCENE)
    assert 0 < share(done(made)) < LITTLE
    assert "background" not in done(plain)
    assert not same(plain, made)
    assert recorded(made.infotext)["settings"]["compose_background"] == BACKGROUND
    assert same(made, painter.txt2img(recorded(made.infotext)["settings"], **SCENE))
    assert same(plain, painter.txt2img(COMPOSE, **SCENE)), "nothing of it is left"


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a meadow by day with a (house:1.2)"},
        {"prompt": "a meadow by day with a [house:house:0.5]"},
        {"negative_prompt": "a city BREAK a harbour"},
        {"prompt": "a meadow by day BREAK a house"},
        {"cfg_scale": 1},
    ],
    ids=["weights", "schedule", "long negative", "BREAK", "without guidance"],
)
def test_it_is_found_whatever_the_hosts_parser_reads(painter: Client, fields: dict[str, Any]) -> None:  # noqa: F811
    assert 0 < share(done(painter.txt2img(ON, **{**SCENE, **fields}))) < 100


@pytest.mark.parametrize("options", [{"batch_cond_uncond": False}, {"pad_cond_uncond": True}])
def test_it_is_found_however_the_host_asks(painter: Client, options: dict[str, Any]) -> None:  # noqa: F811
    usual = painter.txt2img(ON, **SCENE)
    other = painter.txt2img(ON, **{**SCENE, **checkpoint("small_world", **options)})
    assert share(done(other)) == pytest.approx(share(done(usual)), abs=0.2)


@pytest.mark.parametrize("settings", [{}, {"schedule": "random"}])
def test_each_picture_of_a_batch_has_its_own_place(painter: Client, settings: dict[str, Any]) -> None:  # noqa: F811
    both = painter.txt2img({**ON, **settings}, **SCENE, batch_size=2)
    singles = [painter.txt2img({**ON, **settings}, **SCENE, seed=5 + i) for i in range(2)]
    shares = [share(text) for text in both.info["infotexts"][-2:]]
    assert shares == pytest.approx([share(done(single)) for single in singles], abs=0.2)
    assert shares[0] != shares[1]
    assert all(difference(a, b.images[0]) < 1 for a, b in zip(both.images[-2:], singles, strict=True))


def test_a_region_keeps_what_is_its_own(painter: Client) -> None:  # noqa: F811
    left = {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}
    regions = [{"shape": left, "prompt": "the sea at night"}]
    made = painter.txt2img({**ON, "regions": regions}, **SCENE)
    assert "1 region" in done(made)
    assert FOUND in done(made)
    assert not same(made, painter.txt2img({**COMPOSE, "regions": regions}, **SCENE))


@pytest.mark.parametrize(
    ("background", "prompt", "message"),
    [
        ("a meadow by day with a house", SCENE["prompt"], "compose_background must leave out the prompt's thing"),
        ("a <lora:x:1> meadow", SCENE["prompt"], r"compose_background: put <lora:...> in the main prompt"),
        ("a meadow AND a sea", SCENE["prompt"], "compose_background: AND joins prompts of the whole picture"),
        (BACKGROUND, "a meadow AND a house", "compose_background must be empty where AND joins prompts"),
        ("a {red|blue} meadow", SCENE["prompt"], "compose_background must be without wildcards"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    painter: Client,  # noqa: F811
    background: str,
    prompt: str,
    message: str,
) -> None:
    with pytest.raises(RefusedError, match=f"422: .*{message}"):
        painter.txt2img({**ON, "compose_background": background}, **{**SCENE, "prompt": prompt})


@pytest.mark.parametrize(("action", "at"), [("", 0), ("raise", 4), ("raise", 10), ("interrupt", 4), ("skip", 10)])
def test_every_attribute_of_the_host_is_the_object_it_was(
    painter: Client,  # noqa: F811
    action: str,
    at: int,
) -> None:
    painter.post("/test/begin", {"at": at, "action": action})
    painter.post("/test/remember")
    try:
        painter.txt2img(ON, **SCENE)
    except RefusedError:
        assert action == "raise"
    with_it = set(painter.get("/test/changed"))
    painter.get("/test/seen")
    assert with_it - painter.changes("", 0, None, **SCENE) == set()


@pytest.fixture
def txt2img(browser: Any, webui: WebUI, request: pytest.FixtureRequest) -> Iterator[Tab]:
    webui.client.txt2img(width=64, height=64, steps=1)
    with opened(browser, webui.url, request.node.name) as page:
        yield Tab(page)


def test_the_panel_has_it_beside_compose_first(txt2img: Tab) -> None:
    txt2img.open_panel()
    txt2img.small(512, 256, steps=2)
    txt2img.page.locator("#txt2img_prompt textarea").fill("a cat in a field")
    txt2img.page.check(f"{txt2img.panel('compose')} input")
    txt2img.page.click(f"{txt2img.panel('compose_details')} > .label-wrap")
    txt2img.page.wait_for_selector(f"{txt2img.panel('compose_background')} textarea", state="visible")
    txt2img.fill(txt2img.panel("compose_background"), "a field")
    txt2img.generate()
    assert "background prompt" in txt2img.infotext()
    txt2img.fill(txt2img.panel("compose_background"), "a cat in a field")
    txt2img.generate()
    assert "compose_background must leave out the prompt's thing" in txt2img.message()
