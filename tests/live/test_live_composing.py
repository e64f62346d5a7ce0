"""Compose first in the real host: two stages, previews and batches as the host does them, metadata that paste back."""

from __future__ import annotations

import pytest
from client import Client, RefusedError, difference, same
from infotexts import done
from webui import WebUI

COMPOSE = {"enabled": True, "compose": True}
LARGE = {"width": 512, "height": 256, "steps": 4}


@pytest.fixture(scope="module", autouse=True)
def loaded_model(webui: WebUI) -> None:
    """What watches the model needs one, and some hosts load theirs when they are first asked for a picture."""
    webui.client.txt2img(width=64, height=64, steps=1)


def test_the_whole_is_made_first_and_then_tiles(client: Client) -> None:
    client.post("/test/begin")
    made = client.txt2img(COMPOSE, **LARGE)
    seen = [tuple(size[-2:]) for size in client.get("/test/seen")]
    assert set(seen[:4]) == {(12, 24)}
    assert (12, 24) not in seen[4:]
    assert done(made).startswith("first pass: 1 tile of 192x96, 4 UNet evaluations; hires pass: 8 tiles of 128x128")
    assert made.images[0].size == (512, 256)
    assert "Size: 512x256" in made.infotext
    assert "Hires" not in made.infotext


def test_an_exact_size_and_a_batch(client: Client) -> None:
    settings = {**COMPOSE, "width": 509, "height": 253}
    both = client.txt2img(settings, **LARGE, batch_size=2)
    singles = [client.txt2img(settings, **LARGE, seed=5 + i) for i in range(2)]
    assert [image.size for image in both.images[-2:]] == [(509, 253)] * 2
    assert all(difference(a, b.images[0]) < 1 for a, b in zip(both.images[-2:], singles, strict=True))


def test_strength_guidance_and_upscaler_act(client: Client) -> None:
    base = client.txt2img(COMPOSE, **LARGE)
    for change in ({"compose_strength": 0.8}, {"compose_guidance": 2}, {"compose_upscaler": "Nearest"}):
        assert not same(base, client.txt2img({**COMPOSE, **change}, **LARGE))
    assert same(base, client.txt2img(COMPOSE, **LARGE))


def test_an_unknown_upscaler_is_refused_by_name(client: Client) -> None:
    with pytest.raises(RefusedError, match=r"422: .*compose_upscaler must be one of .*Lanczos"):
        client.txt2img({**COMPOSE, "compose_upscaler": "no such thing"}, **LARGE)


def test_off_again_is_the_hosts_own_picture(client: Client) -> None:
    before = client.txt2img(**LARGE)
    client.txt2img(COMPOSE, **LARGE)
    assert same(before, client.txt2img(**LARGE))
