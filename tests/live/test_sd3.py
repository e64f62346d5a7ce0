"""SD 3 in the real host: tiles as a transformer takes them, and by name what it cannot do.

The model is of the host's own classes with tiny widths, and a small table of positions: it cannot be asked about more
than 1536x1536 pixels at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Client, Made, RefusedError, difference, encoded, same
from infotexts import done
from PIL import Image
from webui import EXTENSION, HERE, PROBE, WebUI, running

ON = {"enabled": True, "tile": 128}
NATIVE = {**ON, "fit": "native", "edges": "ring", "schedule": "cyclic"}
BUILT_BY = "instantiate_from_config(sd_config.model, state_dict)"
BEYOND = {"width": 1664, "height": 128}
LEFT = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a fox"}
ROUNDING = 0.5
"""Grey levels of 255."""


@pytest.fixture(scope="module")
def client(webui_home: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    if BUILT_BY not in (webui_home / "modules" / "sd_models.py").read_text("utf-8"):
        pytest.skip("the host does not build SD 3 from modules/models/sd3")
    folder = tmp_path_factory.mktemp("sd3")
    for kept in models.iterdir():
        (folder / kept.name).symlink_to(kept)
    extensions = {"instantas": EXTENSION, "probe": PROBE, "small-sd3": HERE / "sd3_extension"}
    with running(WebUI(tmp_path_factory.mktemp("with-sd3"), extensions, folder)) as webui:
        webui.client.post("/sdapi/v1/refresh-checkpoints")
        yield webui.client


def make(client: Client, settings: dict[str, Any] | None, **fields: Any) -> Made:
    wanted = {"prompt": "a red cat", "negative_prompt": "blur", "sampler_name": "Euler", "width": 320, "height": 192}
    return client.txt2img(settings, **wanted | {"override_settings": {"sd_model_checkpoint": "sd3"}} | fields)


def windows_of(client: Client, settings: dict[str, Any], **fields: Any) -> tuple[Made, set[tuple[int, int]]]:
    """A picture, and height and width of what the transformer was asked about for it, in latent pixels."""
    make(client, None)  # the model is loaded
    client.post("/test/begin")
    made = make(client, settings, **fields)
    seen = client.get("/test/seen")
    assert all(channels == 16 for _, channels, *_ in seen)
    return made, {(height, width) for *_, height, width in seen}


def test_a_picture_beyond_the_table_of_positions_is_made_in_tiles(client: Client) -> None:
    with pytest.raises(RefusedError, match="500"):
        make(client, None, **BEYOND)
    made, windows = windows_of(client, NATIVE, **BEYOND)
    assert done(made).startswith("13 tiles of 128x128")
    assert windows == {(16, 16)}
    assert made.images[0].size == (1664, 128)
    assert made.pixels.std() > 1


def test_tiles_beyond_the_table_of_positions_are_refused_by_name(client: Client) -> None:
    words = "tile must be smaller, .* positions for 1536 pixels a side and would be asked about 1664x128 at once"
    for settings in ({**ON, "tile": 1600}, {**ON, "method": "direct"}):
        with pytest.raises(RefusedError, match=f"422: InstantAS: {words}"):
            make(client, settings, **BEYOND)


def test_what_could_not_be_enlarged_is_refused_before_anything_is_made(client: Client) -> None:
    make(client, None)
    client.post("/test/begin")
    words = "positions for 1536 pixels a side and would be asked about 2560x1536 at once"
    with pytest.raises(RefusedError, match=f"422: InstantAS: .* {words}"):
        make(client, {**ON, "method": "direct", "upscale_by": 8})
    assert client.get("/test/seen") == []


@pytest.mark.parametrize("method", ["InstantAS", "MultiDiffusion", "Mixture of Diffusers"])
@pytest.mark.parametrize("size", [(333, 187), (323, 200)], ids=str)
def test_windows_are_even_also_where_the_canvas_is_not(client: Client, method: str, size: tuple[int, int]) -> None:
    """As the patches of two by two latent pixels need it."""
    made, windows = windows_of(client, {**ON, "method": method, "width": size[0], "height": size[1]}, steps=12)
    assert made.images[0].size == size
    assert len(windows) >= 1
    assert all(height % 2 == width % 2 == 0 for height, width in windows)


def test_tiles_at_once_are_the_tiles_one_by_one(client: Client) -> None:
    one_by_one, together = (make(client, {**NATIVE, "tile_batch": batch}) for batch in (1, 6))
    assert difference(one_by_one.images[0], together.images[0]) < ROUNDING


def test_img2img_and_hires_fix_work(client: Client) -> None:
    sd3 = {"override_settings": {"sd_model_checkpoint": "sd3"}, "prompt": "a red cat", "steps": 3}
    first = make(client, ON)
    assert "tiles of" in done(client.img2img(first.images[0], ON, **sd3, width=320, height=192))
    hires = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    assert make(client, ON, **hires).images[0].size == (640, 384)


def test_the_whole_is_composed_first(client: Client) -> None:
    made, windows = windows_of(client, {"enabled": True, "compose": True}, width=2048, height=1024)
    assert made.images[0].size == (2048, 1024)
    assert done(made).startswith("first pass: 1 tile of 1472x704, 2 UNet evaluations; hires pass: ")
    assert (88, 184) in windows


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"regions": [LEFT]}, "regions must be empty .*a UNet whose cross-attention can be masked"),
        ({"method": "ScaleCrafter"}, "method must be .*ScaleCrafter.*a UNet whose convolutions can be spread"),
    ],
)
def test_what_needs_a_unet_is_refused_by_name(client: Client, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        make(client, {**ON, **settings})


def test_noise_is_aligned_by_a_seed_and_not_by_a_picture(client: Client) -> None:
    plain = make(client, NATIVE)
    aligned = make(client, {**NATIVE, "style_alignment": 0.8, "style_reference": "7"})
    assert difference(plain.images[0], aligned.images[0]) > ROUNDING
    picture = "data:image/png;base64," + encoded(Image.new("RGB", (128, 128), (255, 40, 0)))
    with pytest.raises(RefusedError, match="style_reference must be a seed with this model"):
        make(client, {**NATIVE, "style_alignment": 0.8, "style_reference": picture})


def test_the_vae_works_in_tiles_and_gives_the_same_picture(client: Client) -> None:
    whole, tiled = (make(client, {**ON, "vae": vae, "vae_tile": 128}) for vae in ("off", "on"))
    assert "VAE in tiles" in done(tiled)
    assert difference(whole.images[0], tiled.images[0]) < ROUNDING


def test_wrap_closes_the_picture(client: Client) -> None:
    closed = make(client, {**NATIVE, "wrap": "both"})
    open_ = make(client, NATIVE)
    assert difference(closed.images[0], open_.images[0]) > ROUNDING
    assert "wrap" in closed.infotext


def test_switched_off_nothing_happens(client: Client) -> None:
    plain = make(client, None)
    client.post("/test/remember")
    make(client, None)
    by_the_host_itself = set(client.get("/test/changed"))
    client.post("/test/remember")
    tiled = make(client, ON)
    assert set(client.get("/test/changed")) - by_the_host_itself == set()
    assert same(make(client, {"enabled": False}), plain)
    assert same(make(client, None), plain)
    assert difference(tiled.images[0], plain.images[0]) > ROUNDING
