"""What the extension leaves behind in the host: nothing."""

from __future__ import annotations

import pytest
from client import Client, same
from webui import WebUI

ON = {"enabled": True}

HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}

PLAIN = [
    {},
    {"sampler_name": "DDIM", "n_iter": 2, "batch_size": 2},
    {"sampler_name": "DPM++ SDE", "width": 312, "height": 200},
    HIRES,
]


@pytest.mark.parametrize("fields", PLAIN)
def test_switched_off_is_as_if_it_were_not_installed(
    client: Client, webui_without_extension: WebUI, fields: dict
) -> None:
    installed = client.txt2img({"enabled": False}, **fields)
    bare = webui_without_extension.client.txt2img(**fields)
    assert same(installed, bare)
    assert installed.info["infotexts"] == bare.info["infotexts"]


@pytest.mark.parametrize("method", ["InstantAS", "ScaleCrafter"])
@pytest.mark.parametrize("action", ["", "raise", "interrupt", "skip"])
def test_every_attribute_of_the_host_is_the_object_it_was(client: Client, action: str, method: str) -> None:
    by_the_host_itself = client.changes(action, 4, None, **HIRES, steps=4)
    with_it = client.changes(action, 4, {**ON, "method": method}, **HIRES, steps=4)
    assert with_it - by_the_host_itself == set()


@pytest.mark.parametrize("action", ["interrupt", "skip"])
def test_interrupt_and_skip_are_read_between_tile_batches(client: Client, action: str) -> None:
    client.post("/test/begin", {"at": 9, "action": action})
    client.txt2img(ON, steps=20)
    assert len(client.get("/test/seen")) == 9


def test_nothing_of_a_generation_stays_alive(client: Client) -> None:
    client.txt2img(ON, **HIRES)
    client.txt2img()
    assert client.get("/test/leftovers") == {"TiledSampling": 0, "TiledDenoiser": 0}


def test_the_host_logs_no_error_of_ours(webui: WebUI) -> None:
    webui.client.txt2img(ON)
    webui.client.txt2img()
    assert not webui.errors
