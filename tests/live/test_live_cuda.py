"""What the host answers on a CUDA machine, under default settings: pictures come out, and memory figures count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client import Client, Made, difference
from infotexts import done
from test_generation import colours
from webui import EXTENSION, HERE, PROBE, WebUI, running

ON = {"enabled": True}
HIRES = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.7}
PLENTY, NEXT_TO_NOTHING = 20 * 2**30, 2**20
SAME_PICTURE = 0.3
"""Grey levels of 255: rounding, and the encoder's random draw."""

Make = Callable[[Client], Made]
WAYS: dict[str, Make] = {
    "txt2img": lambda client: client.txt2img(ON),
    "one tile": lambda client: client.txt2img(ON, width=128, height=128),
    "batch": lambda client: client.txt2img(ON, n_iter=2, batch_size=2),
    "hires, latent": lambda client: client.txt2img(ON, **HIRES, hr_upscaler="Latent"),
    "hires, image": lambda client: client.txt2img(ON, **HIRES, hr_upscaler="Nearest"),
    "img2img": lambda client: client.img2img(colours(), ON, steps=4),
}


@pytest.fixture(scope="module")
def client(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    extensions = {"instantas": EXTENSION, "probe": PROBE, "as-on-cuda": HERE / "cuda_extension"}
    with running(WebUI(tmp_path_factory.mktemp("cuda"), extensions, models)) as webui:
        yield webui.client


def with_free(client: Client, free: int, make: Make) -> Made:
    """What is made where so many bytes are free on the card; the driver must have been asked."""
    client.post("/test/free", {"free": free})
    made = make(client)
    assert set(client.get("/test/free")) == {0}
    return made


@pytest.mark.parametrize("way", WAYS)
def test_free_memory_of_the_card_decides_about_tiles(client: Client, way: str) -> None:
    whole, tiled = (with_free(client, free, WAYS[way]) for free in (PLENTY, NEXT_TO_NOTHING))
    assert "VAE" not in done(whole)
    assert "VAE in tiles (exact)" in done(tiled)
    assert whole.pixels.std() > 1
    assert difference(whole.images[0], tiled.images[0]) < SAME_PICTURE
