"""The extension's own defaults: few tile shapes, several tiles in a call. Other tests have theirs (webui.CONFIG)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from client import DEFAULT_TILES, Client, difference, same
from infotexts import done, recorded
from test_generation import ON, ROUNDING, colours
from webui import CONFIG

DEFAULTS = {f"instantas_{name}": value for name, value in DEFAULT_TILES.items()}
LEFT = [{"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a dog"}]


@pytest.fixture(scope="module", autouse=True)
def defaults(client: Client) -> Iterator[None]:
    """The settings page as it is before anybody changes it."""
    client.post("/sdapi/v1/options", DEFAULTS)
    yield
    client.post("/sdapi/v1/options", {name: CONFIG[name] for name in DEFAULTS})


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "DDIM"])
def test_a_picture_of_the_defaults_says_nothing_of_them_and_is_made_again_from_it(client: Client, sampler: str) -> None:
    made = client.txt2img(ON, sampler_name=sampler, steps=4)
    assert done(made).startswith("6 tiles of ")
    assert recorded(made.infotext)["settings"] == {"enabled": True}
    assert same(made, client.txt2img({**ON, **DEFAULT_TILES}, sampler_name=sampler, steps=4))
    assert not same(made, client.txt2img({"enabled": True, "fit": "fitted"}, sampler_name=sampler, steps=4))


def test_a_run_has_few_shapes_and_an_evaluation_few_calls(client: Client) -> None:
    client.post("/test/begin")
    client.txt2img(ON, sampler_name="DDIM", steps=10, width=384, height=384)
    seen = client.get("/test/seen")
    assert len({tuple(size[-2:]) for size in seen}) <= 4
    assert len(seen) <= 2 * 10


@pytest.mark.parametrize("size", [{}, {"width": 523, "height": 211}, {"width": 1024, "height": 64}])
def test_pictures_of_a_batch_are_what_they_are_alone(client: Client, size: dict[str, int]) -> None:
    fields: dict[str, Any] = {"sampler_name": "DPM++ 2M SDE", "steps": 3}
    three = client.txt2img({**ON, **size}, **fields, batch_size=3)
    singles = [client.txt2img({**ON, **size}, **fields, seed=5 + i) for i in range(3)]
    assert all(difference(a, b.images[0]) < ROUNDING for a, b in zip(three.images[-3:], singles, strict=True))


def test_hires_img2img_and_regions(client: Client) -> None:
    hires = client.txt2img(ON, enable_hr=True, hr_scale=2, denoising_strength=0.6)
    assert "hires pass: " in done(hires)
    assert hires.images[0].size == (640, 384)
    changed = client.img2img(colours(), ON, denoising_strength=0.5, steps=4)
    assert done(changed).startswith("6 tiles of ")
    plain, region = client.txt2img(ON), client.txt2img({**ON, "regions": LEFT})
    assert done(region) == f"{done(plain)}, 1 region"
    assert same(region, client.txt2img({**ON, "regions": LEFT}))
    assert not same(region, plain)
