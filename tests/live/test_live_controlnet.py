"""With ControlNet beside it, where it is installed: each unit's hint goes with the tile."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from client import Client, Made, RefusedError, encoded, gap
from infotexts import done
from PIL import Image
from safetensors.torch import save_file
from shapes import TEXT_WIDTH
from webui import EXTENSION, PROBE, WebUI, home, running

ON = {"enabled": True, "fit": "native", "schedule": "cyclic", "gamma": 0.0, "tile": 128}
SIZE = 320, 192


def controlnet_home() -> Path:
    """Where the neighbour's extension lies: CONTROLNET_DIR, or its usual place in the WebUI."""
    return Path(os.environ.get("CONTROLNET_DIR", home() / "extensions" / "sd-webui-controlnet")).expanduser()


def tiny_adapter() -> dict[str, torch.Tensor]:
    """The weights of a T2I adapter for a UNet of 32, 64, 128 and 128 channels, from a colour hint."""
    torch.manual_seed(0)
    channels = [32, 64, 128, 128]
    weights = {"conv_in.weight": torch.randn(32, 192, 3, 3) * 0.02, "conv_in.bias": torch.zeros(32)}
    for index, (level, part) in enumerate((level, part) for level in range(4) for part in range(2)):
        wide = channels[level]
        weights |= {f"body.{index}.block1.weight": torch.randn(wide, wide, 3, 3) * 0.02}
        weights |= {f"body.{index}.block2.weight": torch.randn(wide, wide, 1, 1) * 0.02}
        weights |= {f"body.{index}.block{block}.bias": torch.zeros(wide) for block in (1, 2)}
        if level and not part and channels[level - 1] != wide:
            weights |= {f"body.{index}.in_conv.weight": torch.randn(wide, channels[level - 1], 1, 1) * 0.1}
            weights |= {f"body.{index}.in_conv.bias": torch.zeros(wide)}
    return weights


PICTURE_CHANNELS, PICTURE_TOKENS = 48, 4


def tiny_ip_adapter() -> dict[str, torch.Tensor]:
    """The weights of an IP-Adapter for the same UNet, its layers in the neighbour's order: way in, way out, middle."""
    torch.manual_seed(0)
    layers = [32, 32, 64, 64, 128, 128, *[128] * 3, *[64] * 3, *[32] * 3, 128]
    weights = {"image_proj.proj.weight": torch.randn(PICTURE_TOKENS * TEXT_WIDTH, PICTURE_CHANNELS)}
    weights |= {"image_proj.proj.bias": torch.zeros(PICTURE_TOKENS * TEXT_WIDTH)}
    weights |= {"image_proj.norm.weight": torch.ones(TEXT_WIDTH), "image_proj.norm.bias": torch.zeros(TEXT_WIDTH)}
    for index, wide in enumerate(layers):
        for name in ("to_k_ip", "to_v_ip"):
            weights[f"ip_adapter.{2 * index + 1}.{name}.weight"] = torch.randn(wide, TEXT_WIDTH) * 0.5
    return weights


def is_built_in() -> bool:
    """Whether the host brings a ControlNet of its own."""
    return (home() / "extensions-builtin" / "sd_forge_controlnet").is_dir()


@pytest.fixture(scope="module")
def client(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    if not is_built_in() and not (controlnet_home() / "scripts" / "hook.py").exists():
        pytest.skip(f"no ControlNet in {controlnet_home()}: set CONTROLNET_DIR to the folder of its extension")
    data = tmp_path_factory.mktemp("controlnet")
    adapters = data / "models" / "ControlNet"
    adapters.mkdir(parents=True)
    save_file(tiny_adapter(), str(adapters / "t2iadapter_tiny.safetensors"))
    save_file(tiny_ip_adapter(), str(adapters / "ip-adapter_tiny_sd15.safetensors"))
    extensions = {"instantas": EXTENSION, "probe": PROBE}
    extensions |= {} if is_built_in() else {"a-controlnet": controlnet_home()}
    with running(WebUI(data, extensions, models)) as webui:
        yield webui.client


def place_picture(size: tuple[int, int] = SIZE) -> Image.Image:
    """Each pixel's colour says where it is: red across, green down, blue none."""
    across, down = np.meshgrid(np.arange(size[0]) * 255 / size[0], np.arange(size[1]) * 255 / size[1])
    return Image.fromarray(np.stack([across, down, np.zeros_like(across)], axis=-1).round().astype(np.uint8))


def request(client: Client, picture: Image.Image) -> dict[str, Any]:
    models = client.get("/controlnet/model_list")["model_list"]
    model = next(name for name in models if name.startswith("t2iadapter_tiny"))  # with its hash, on some hosts
    none = "None" if is_built_in() else "none"
    unit = {"enabled": True, "image": encoded(picture), "module": none, "model": model}
    return {"override_settings": {"sd_model_checkpoint": "sd1-deep.safetensors"}, "unit": unit, "steps": 1}


def make(client: Client, settings: dict | None, picture: Image.Image, **fields: Any) -> Any:
    wanted = request(client, picture) | fields
    scripts = {"ControlNet": {"args": [wanted.pop("unit")]}}
    if settings is not None:
        scripts["InstantAS"] = {"args": [settings]}
    return client.txt2img(None, **wanted, alwayson_scripts=scripts)


def places(seen: list, size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of each hint that the adapter was given, read from its colours."""
    return [(round(red * size[0]), round(green * size[1]), width, height) for red, green, height, width in seen]


def test_each_tile_gets_its_part_of_the_hint(client: Client) -> None:
    make(client, None, place_picture(), width=64, height=64)
    client.post("/test/begin")
    made = make(client, ON, place_picture())
    hints = places(client.get("/test/hints"), SIZE)
    assert done(made).startswith("6 tiles of 128x128")
    expected = [(x, y, 128, 128) for y in (0, 64) for x in (0, 128, 192)]
    assert set(hints) == set(expected)  # once, or once for each kind of conditions


def test_tiles_in_one_batch_get_a_row_of_hints_each(client: Client) -> None:
    one_by_one = make(client, ON | {"tile_batch": 1}, place_picture())
    together = make(client, ON | {"tile_batch": 6}, place_picture())
    assert np.abs(one_by_one.pixels.astype(int) - together.pixels).mean() < 1


def test_the_hint_matters_and_is_restored(client: Client) -> None:
    with_hint = make(client, ON, place_picture())
    without = make(client, ON, Image.new("RGB", SIZE))
    untiled = make(client, None, place_picture())
    assert not np.array_equal(with_hint.pixels, without.pixels)
    assert np.array_equal(untiled.pixels, make(client, None, place_picture()).pixels)
    assert np.array_equal(with_hint.pixels, make(client, ON, place_picture()).pixels)


def test_enlarging_in_txt2img_is_refused_before_anything_is_made_while_hints_would_be_in_the_way(
    client: Client,
) -> None:
    make(client, None, place_picture(), width=64, height=64)
    client.post("/test/begin")
    enlarging = {**ON, "upscale_by": 2}
    if is_built_in():  # its hints are no part of the model
        assert make(client, enlarging, place_picture(), steps=2).images[0].size == (640, 384)
        return
    with pytest.raises(RefusedError, match="422: InstantAS: upscale_by must be 1 in txt2img beside ControlNet, got 2"):
        make(client, enlarging, place_picture())
    assert client.get("/test/seen") == []
    assert client.txt2img(enlarging).images[0].size == (640, 384)


def test_both_passes_of_hires_fix_have_the_hint_of_their_size(client: Client) -> None:
    hires = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.5, "hr_cfg": 7}
    client.post("/test/begin")
    make(client, ON, place_picture(), **hires, hr_second_pass_steps=1)
    seen = client.get("/test/hints")
    of_first = 6 * (len(seen) // 21)  # six tiles, and then fifteen
    first, second = places(seen[:of_first], SIZE), places(seen[of_first:], (640, 384))
    assert {(x, y) for x, y, _, _ in first} == {(x, y) for y in (0, 64) for x in (0, 128, 192)}
    assert {(x, y) for x, y, _, _ in second} == {(x, y) for y in (0, 128, 256) for x in (0, 128, 256, 384, 512)}


def test_an_own_size_reaches_controlnet(client: Client) -> None:
    client.post("/test/begin")
    made = make(client, ON | {"width": 333, "height": 187}, place_picture((336, 192)))
    assert made.images[0].size == (333, 187)
    assert {hint[2:] for hint in places(client.get("/test/hints"), (336, 192))} == {(128, 128)}


STILL = {"enabled": True, "fit": "native", "edges": "clamp", "schedule": "cyclic", "gamma": 0.0, "tile": 128}
LEFT = {"type": "rectangle", "x": 0.0, "y": 0.0, "width": 0.375, "height": 1.0}
ROUNDING = 0.5
"""Grey levels of 255."""


def looking_at(client: Client, settings: dict[str, Any] | None, weight: float = 1.0, **fields: Any) -> Made:
    """A picture of four tiles with an IP-Adapter, which is given what its picture encoder would have made."""
    if is_built_in():
        pytest.skip("the host's own IP-Adapter takes no encoded pictures; beside regions it is refused")
    buffer = io.BytesIO()
    torch.save({"image_embeds": torch.randn(1, PICTURE_CHANNELS, generator=torch.Generator().manual_seed(2))}, buffer)
    models = client.get("/controlnet/model_list")["model_list"]
    model = next(name for name in models if name.startswith("ip-adapter_tiny"))
    unit = {"enabled": True, "module": "none", "model": model, "weight": weight}
    unit |= {"ipadapter_input": [base64.b64encode(buffer.getvalue()).decode()]}
    unit |= {"effective_region_mask": fields.pop("mask")} if "mask" in fields else {}
    given = {"width": 512, "height": 128, "prompt": "a house", "negative_prompt": "rain"} | fields
    return make(client, settings, place_picture(), unit=unit, **given)


def test_an_ip_adapter_acts_in_regions(client: Client) -> None:
    """Where one prompt is alone, where the region ends within a tile, and where there is no region."""
    regions = {"regions": [{"shape": LEFT, "prompt": "a house", "negative_prompt": "rain"}]}
    expected = looking_at(client, STILL)
    assert gap(looking_at(client, {**STILL, **regions}), expected) < ROUNDING
    without = looking_at(client, STILL, weight=0.0)
    tiles = [np.abs(expected.pixels.astype(int) - without.pixels)[:, x : x + 128].mean() for x in range(0, 512, 128)]
    assert min(tiles) > 4 * ROUNDING


def test_beside_an_ip_adapter_a_region_has_its_own_prompt(client: Client) -> None:
    everywhere = {"type": "rectangle", "x": 0, "y": 0, "width": 1, "height": 1}
    regions = {"regions": [{"shape": everywhere, "prompt": "two dogs", "negative_prompt": "snow"}]}
    expected = looking_at(client, STILL, prompt="two dogs", negative_prompt="snow")
    assert gap(looking_at(client, STILL), expected) > 2 * ROUNDING
    assert gap(looking_at(client, {**STILL, **regions}), expected) < ROUNDING


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("regions", [False, True], ids=["plain", "regions"])
def test_the_region_of_an_ip_adapter_is_cut_with_the_tiles(client: Client, batch: int, regions: bool) -> None:
    """The first two of four tiles lie inside."""
    mask = Image.new("RGB", (512, 128))
    mask.paste((255, 255, 255), (0, 0, 256, 128))
    settings = {**STILL, "tile_batch": batch}
    settings |= {"regions": [{"shape": LEFT, "prompt": "two dogs"}]} if regions else {}
    seen = []
    for more in ({"mask": encoded(mask)}, {}, {"weight": 0.0}):
        looking_at(client, settings, **more)
        seen.append(np.array(client.get("/test/predicted")))
    masked, everywhere, nowhere = (np.split(latents, 2, axis=-1) for latents in seen)
    assert min(np.abs(one - other).mean() for one, other in zip(everywhere, nowhere, strict=True)) > 0.01
    assert np.abs(masked[0] - everywhere[0]).max() < 1e-4
    assert np.abs(masked[1] - nowhere[1]).max() < 1e-4


def test_tiles_in_batches_of_any_size_look_at_the_picture_alike(client: Client) -> None:
    one_by_one = looking_at(client, {**STILL, "tile_batch": 1})
    for batch in (3, 4):
        assert gap(looking_at(client, {**STILL, "tile_batch": batch}), one_by_one) < ROUNDING
    negatives_apart = {"batch_cond_uncond": True, "s_min_uncond_all": True, "s_min_uncond": 3.0}
    options = {"override_settings": {"sd_model_checkpoint": "sd1-deep.safetensors", **negatives_apart}, "steps": 4}
    alone = looking_at(client, {**STILL, "tile_batch": 1}, **options)
    assert gap(looking_at(client, {**STILL, "tile_batch": 4}, **options), alone) < ROUNDING
