"""The host's own autoencoder in tiles: the same pictures, of any size, and nothing left behind."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client import Client, Made, difference, same
from infotexts import done
from PIL import Image
from test_generation import checkpoint, colours
from webui import EXTENSION, PROBE, WebUI, running

from small_world.install import install

OFF = {"enabled": True, "vae": "off"}
ON = {"enabled": True, "vae": "on", "vae_tile": 64}
LIKE_NEIGHBOURS = 3.0
"""Times the step between neighbours inside; across open borders it is eight times and more."""
JOINED = 0.8
"""Of the step of latents across an open border: where tiles reach across it they make 0.2 to 0.6 of it, else all."""
METHODS = ["InstantAS", "MultiDiffusion"]
HIRES = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.7}
LESS_THAN_ROUNDING = 0.02
"""Grey levels of 255: a pixel in fifty may fall on the other side of rounding."""
A_RANDOM_DRAW = 0.3
"""Where a picture is encoded, the host draws from the encoder's distribution without a seed: two runs never agree."""


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("sd1", LESS_THAN_ROUNDING),
        ("sd1-inpainting", A_RANDOM_DRAW),
        ("sd2", LESS_THAN_ROUNDING),
        ("sdxl", LESS_THAN_ROUNDING),
    ],
)
def test_tiles_change_no_picture(client: Client, name: str, tolerance: float) -> None:
    tiled, untiled = (client.txt2img(settings, **checkpoint(name)) for settings in (ON, OFF))
    assert "VAE in tiles (exact)" in done(tiled)
    assert "VAE" not in done(untiled)
    assert untiled.pixels.std() > 1
    assert difference(tiled.images[0], untiled.images[0]) < tolerance


@pytest.mark.parametrize("upscaler", ["Latent", "Nearest"])
def test_hires_fix_decodes_and_encodes_in_tiles(client: Client, upscaler: str) -> None:
    tiled, untiled = (client.txt2img(settings, **HIRES, hr_upscaler=upscaler) for settings in (ON, OFF))
    assert difference(tiled.images[0], untiled.images[0]) < A_RANDOM_DRAW


def test_img2img_encodes_in_tiles(client: Client) -> None:
    tiled, untiled = (client.img2img(colours(), settings, steps=4) for settings in (ON, OFF))
    assert difference(tiled.images[0], untiled.images[0]) < A_RANDOM_DRAW


def test_a_picture_that_fits_is_left_to_the_host(client: Client) -> None:
    auto, off = (client.txt2img({"enabled": True, "vae": vae}) for vae in ("auto", "off"))
    assert "VAE" not in done(auto)
    assert difference(auto.images[0], off.images[0]) == 0


def test_the_hosts_other_decoders_are_untouched(client: Client) -> None:
    # The host restores an option after a request only if it has been stored before.
    client.post("/sdapi/v1/options", {"sd_vae_decode_method": "Full"})
    # "Approx NN" and "TAESD" have to be fetched; this decoder needs no file.
    cheap = checkpoint("sd1", sd_vae_decode_method="Approx cheap")
    tiled, untiled = (client.txt2img(settings, **cheap) for settings in (ON, OFF))
    assert "VAE in tiles" not in done(tiled)
    assert difference(tiled.images[0], untiled.images[0]) == 0


@pytest.fixture(scope="module")
def painter(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A WebUI with Small World: pictures of a model that was never taught anything have no borders to be seen."""
    folder = tmp_path_factory.mktemp("painter")
    checkpoints = folder / "models" / "Stable-diffusion"
    checkpoints.mkdir(parents=True)
    for kept in models.iterdir():
        (checkpoints / kept.name).symlink_to(kept)
    install(folder)
    with running(WebUI(folder / "data", {"instantas": EXTENSION, "probe": PROBE}, checkpoints)) as webui:
        yield webui.client


@dataclass(frozen=True)
class Panorama:
    """A picture of Small World, and the clean latents [4, H, W] that the sampler was told last: no VAE is in them."""

    made: Made
    latents: np.ndarray


Painted = Callable[[str, str, bool], Panorama]


@pytest.fixture(scope="module")
def painted(painter: Client) -> Painted:
    """Makes the panorama with a method, a `wrap`, and the host's Tiling checkbox; each of them once."""
    fields = {"width": 768, "height": 512, "steps": 10, "cfg_scale": 5, **checkpoint("small_world")}

    @cache
    def paint(method: str, wrap: str, tiling: bool) -> Panorama:
        settings = {"enabled": True, "vae": "on", "vae_tile": 64, "method": method, "wrap": wrap}
        prompt = "a harbour at sunset with a lighthouse"
        made = painter.txt2img(settings, prompt=prompt, tiling=tiling, **fields)
        return Panorama(made, np.array(painter.get("/test/predicted"))[0])

    return paint


def steps_at_borders(rows_and_columns: np.ndarray, every: int) -> np.ndarray:
    """From the last row to the first, and from the last column to the first, as a share of those between neighbours.

    Of `rows_and_columns` [H, W, channels]; neighbours are those on either side of a multiple of `every`.
    """
    return np.array([_step(rows, every) for rows in (rows_and_columns, rows_and_columns.swapaxes(0, 1))])


def _step(rows: np.ndarray, every: int) -> float:
    inside = np.abs(np.diff(rows, axis=0)).mean(axis=(1, 2))[every - 1 :: every]
    return float(np.abs(rows[0] - rows[-1]).mean() / inside.mean())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("wrap", "tiling", "closed"),
    [
        ("off", False, (False, False)),
        ("horizontal", False, (False, True)),
        ("both", False, (True, True)),
        ("off", True, (True, True)),
    ],
)
def test_a_wrapped_panorama_meets_itself(
    painted: Painted, method: str, wrap: str, tiling: bool, closed: tuple[bool, bool]
) -> None:
    """Whether the panel asks for it or the host's own Tiling checkbox, which stands for both axes.

    The VAE alone joins borders half-way. So the UNet's part is seen in the latents, against those of an open picture.
    """
    picture, without = painted(method, wrap, tiling), painted(method, "off", False)
    pixels = picture.made.pixels.astype(float)
    assert tuple(steps_at_borders(pixels, every=8) < LIKE_NEIGHBOURS) == closed  # where one latent meets the next
    latents, open_latents = (steps_at_borders(np.moveaxis(each.latents, 0, -1), every=1) for each in (picture, without))
    assert tuple(latents < JOINED * open_latents) == closed


@pytest.mark.parametrize("method", METHODS)
def test_the_hosts_own_tiling_checkbox_makes_the_picture_that_wrap_makes(painted: Painted, method: str) -> None:
    """The host closes all convolutions on what they are given: with tiles, each tile on itself, and no picture."""
    by_checkbox, by_wrap = painted(method, "off", True), painted(method, "both", False)
    assert difference(by_checkbox.made.images[0], by_wrap.made.images[0]) < LESS_THAN_ROUNDING
    assert not same(by_checkbox.made, painted(method, "off", False).made)


def test_the_hosts_own_tiling_checkbox_goes_on_working(client: Client) -> None:
    tiled, untiled = (client.txt2img(settings, tiling=True) for settings in (ON, OFF))
    assert difference(tiled.images[0], untiled.images[0]) < LESS_THAN_ROUNDING


@pytest.mark.parametrize("action", ["", "raise", "interrupt", "skip"])
def test_the_autoencoder_is_given_back_as_it_was(client: Client, action: str) -> None:
    client.txt2img(ON, **HIRES)
    changed = client.changes(action, 4, ON, **HIRES, steps=4)
    assert {name for name in changed if "first_stage_model" in name} == set()


LARGE = [(20000, 512), (4096, 4096)]


@pytest.mark.skipif("INSTANTAS_LARGE" not in os.environ, reason="takes minutes; set INSTANTAS_LARGE=1 to run it")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", LARGE, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_large_picture_is_made_saved_and_read_back(
    webui: WebUI, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.TIMEOUT", 1500)  # a minute or two where nothing else runs
    settings: dict[str, Any] = {"enabled": True, "vae": "on", "width": size[0], "height": size[1], "tile": 512}
    made = webui.client.txt2img(settings, steps=1, cfg_scale=1, sampler_name="Euler", save_images=True, seed=91)
    assert made.images[0].size == size
    assert "VAE in tiles (exact)" in done(made)
    saved = max((webui.data / "pictures").rglob("*.png"), key=lambda path: path.stat().st_mtime)
    with Image.open(io.BytesIO(saved.read_bytes())) as picture:
        assert picture.size == size
        answer = webui.client.post("/sdapi/v1/png-info", {"image": base64.b64encode(saved.read_bytes()).decode()})
    assert answer["parameters"]["Size-1"] == str(size[0])
    assert answer["parameters"]["Size-2"] == str(size[1])
