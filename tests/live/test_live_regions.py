"""Regional prompts in the real host: whatever its parser reads in a prompt, it reads in a region's.

The measure is a region that covers the whole picture: it must give the picture of its prompt, bit for bit but for
rounding, however the host happens to batch, pad, skip or schedule.
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from client import Client, RefusedError, difference, encoded, gap
from infotexts import done, recorded
from PIL import Image
from regional_pictures import (
    DIFFERENT,
    LEFT,
    LONG,
    MAIN,
    ROUNDING,
    WHOLE,
    is_the_one_and_not_the_other,
    on,
    whole_is_its_prompt,
    write_lora,
)
from safetensors.torch import save_file
from shapes import TEXT_WIDTH
from test_generation import checkpoint
from webui import WebUI


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a red cat", "blur"),
        ("a (red:1.6) [cat]", "(blur:1.3)"),
        ("[a red cat:two dogs:0.5]", "blur"),
        ("[cat|dog]", "[blur:noise:1]"),
        ("a red cat BREAK two dogs", "blur"),
        (LONG, "blur"),
        ("a red cat", LONG),
        (f"[a cat:{LONG}:0.5]", "blur"),
    ],
    ids=["plain", "weights", "schedule", "alternation", "BREAK", "long", "long negative", "crosses 75 tokens"],
)
def test_a_region_over_everything_is_the_picture_of_its_prompt(client: Client, prompt: str, negative: str) -> None:
    whole_is_its_prompt(client, prompt, negative, steps=4, sampler_name="Euler")


@pytest.mark.parametrize(
    "main",
    [
        {"prompt": LONG, "negative_prompt": "rain"},
        {"prompt": f"[a house:{LONG}:0.5]", "negative_prompt": "rain"},
        {"prompt": "a house", "negative_prompt": LONG},
    ],
    ids=["long", "crosses 75 tokens", "long negative"],
)
def test_the_length_of_the_main_prompt_is_nothing_to_a_region(client: Client, main: dict[str, str]) -> None:
    whole_is_its_prompt(client, "a red cat", main=main, steps=4, sampler_name="Euler")


@pytest.mark.parametrize("sampler", ["Heun", "DPM++ 2M", "DDIM", "UniPC"])
def test_a_schedule_in_a_region_keeps_time_with_the_sampler(client: Client, sampler: str) -> None:
    whole_is_its_prompt(client, "[a red cat:two dogs:0.5]", steps=4, sampler_name=sampler)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_cond_uncond": False},
        {"skip_early_cond": 0.5},
        {"s_min_uncond": 15.0},
        {"s_min_uncond_all": True, "s_min_uncond": 15.0},
        {"upcast_attn": True},
        {"use_old_scheduling": True},
        {"CLIP_stop_at_last_layers": 2},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_region_over_everything_is_its_prompt_under_every_option_of_the_host(
    client: Client, options: dict[str, Any]
) -> None:
    whole_is_its_prompt(client, "[a red cat:two dogs:0.5]", LONG, steps=4, **checkpoint("sd1", **options))


@pytest.mark.parametrize("option", ["pad_cond_uncond", "pad_cond_uncond_v0"])
def test_regions_need_no_padding_by_the_host(client: Client, option: str) -> None:
    """The host's padding for unequal lengths changes the picture; rows laid out to equal lengths need none."""
    region = {"shape": WHOLE, "prompt": "two dogs", "negative_prompt": LONG}
    plain = client.txt2img(on(region), **MAIN)
    assert gap(client.txt2img(on(region), **MAIN, **checkpoint("sd1", **{option: True})), plain) == 0


@pytest.mark.parametrize("name", ["sd1", "sd2", "sd2-v", "sdxl", "sd1-inpainting"])
@pytest.mark.parametrize("feather", [0.0, 0.4])
def test_regions_of_the_main_prompt_change_nothing(client: Client, name: str, feather: float) -> None:
    tiles = {"tile": 128}
    plain = client.txt2img({"enabled": True, **tiles}, **checkpoint(name))
    region = {"shape": LEFT, "prompt": "a red (cat:1.2)", "negative_prompt": "blur", "feather": feather}
    regional = client.txt2img(on(region, {"shape": LEFT, "weight": 0.5}, **tiles), **checkpoint(name))
    assert gap(plain, regional) < ROUNDING
    assert plain.pixels.std() > 1


@pytest.mark.parametrize("name", ["sd1", "sd2", "sd2-v", "sdxl", "sd1-inpainting"])
def test_a_region_changes_its_own_side_of_the_picture(client: Client, name: str) -> None:
    still = {"schedule": "cyclic", "gamma": 0.0, "tile": 128, "fit": "native", "edges": "clamp"}
    fields = {**checkpoint(name), "width": 512, "height": 128}
    client.txt2img({"enabled": True, **still}, **fields)
    plain = np.array(client.get("/test/predicted"))
    client.txt2img(on({"shape": LEFT, "prompt": "two dogs in the snow", "negative_prompt": "noise"}, **still), **fields)
    changed = np.abs(np.array(client.get("/test/predicted")) - plain)
    assert changed[..., :32].max() > 0.01
    assert changed[..., 32:].max() == 0


def test_sdxl_takes_its_pooled_conditioning_from_the_main_prompt(client: Client) -> None:
    fields = {**checkpoint("sdxl"), **MAIN}
    region = {"shape": WHOLE, "prompt": "two dogs"}
    dogs = client.txt2img({"enabled": True, "tile": 128}, **{**fields, "prompt": "two dogs"})
    regional = client.txt2img(on(region, tile=128), **fields)
    main = client.txt2img({"enabled": True, "tile": 128}, **fields)
    assert gap(regional, main) > 0.1, "other tokens"
    assert gap(regional, dogs) > gap(regional, main) / 50, "but the same vector, with which nothing lies between"


@pytest.mark.parametrize(
    ("joined", "alike"),
    [
        ("a house AND a tree", "a red cat AND a red cat"),
        ("a house AND a tree :0.5", "a red cat AND a red cat :0.5"),
        ("a house :0.4 AND a tree :-0.3 AND sky", "a red cat :0.4 AND a red cat :-0.3 AND a red cat"),
    ],
)
def test_where_the_main_prompt_is_joined_with_and_a_region_stands_for_each_part(
    client: Client, joined: str, alike: str
) -> None:
    expected = client.txt2img({"enabled": True}, prompt=alike, negative_prompt="blur")
    region = {"shape": WHOLE, "prompt": "a red cat", "negative_prompt": "blur"}
    assert gap(client.txt2img(on(region), prompt=joined, negative_prompt="rain"), expected) < ROUNDING


def test_each_picture_of_a_batch_keeps_its_own_main_prompt(client: Client) -> None:
    region = {"shape": LEFT, "prompt": "two dogs"}
    matrix = {"script_name": "prompt matrix", "script_args": [False, False, "positive", "comma", 0]}
    both = client.txt2img(on(region), prompt="a house|two trees", batch_size=2, **matrix).images[-2:]
    for image, prompt in zip(both, ("a house", "a house, two trees"), strict=True):
        assert difference(image, client.txt2img(on(region), prompt=prompt).images[0]) < ROUNDING
    assert difference(*both) > DIFFERENT


def test_a_negative_prompt_of_a_region_is_for_the_region_alone(client: Client) -> None:
    own = client.txt2img(on({"shape": WHOLE, "negative_prompt": "snow"}), prompt="a house", negative_prompt="rain")
    snow, rain = (client.txt2img({"enabled": True}, prompt="a house", negative_prompt=one) for one in ("snow", "rain"))
    assert is_the_one_and_not_the_other(own, snow, rain)


def test_styles_are_for_the_regions_too(client: Client) -> None:
    styled = client.txt2img(
        on({"shape": WHOLE, "prompt": "a red cat", "negative_prompt": "blur"}), styles=["Live"], **MAIN
    )
    expected = {"prompt": "a drawing of a red cat, in ink", "negative_prompt": "blur, photo"}
    unstyled = client.txt2img({"enabled": True}, prompt="a red cat", negative_prompt="blur")
    assert is_the_one_and_not_the_other(styled, client.txt2img({"enabled": True}, **expected), unstyled)


def test_textual_inversions_are_read_in_regions(client: Client, webui: WebUI) -> None:
    folder = webui.data / "embeddings"
    folder.mkdir(exist_ok=True)
    vector = torch.randn(3, TEXT_WIDTH, generator=torch.Generator().manual_seed(0))
    save_file({"emb_params": vector}, folder / "livefox.safetensors")
    client.post("/sdapi/v1/refresh-embeddings")
    assert "livefox" in client.get("/sdapi/v1/embeddings")["loaded"]
    whole_is_its_prompt(client, "a livefox")


def test_a_lora_of_the_main_prompt_is_at_work_in_regions_and_none_is_taken_from_them(
    client: Client, webui: WebUI
) -> None:
    write_lora(webui.data / "models" / "Lora" / "live.safetensors")
    client.post("/sdapi/v1/refresh-loras")
    expected = client.txt2img({"enabled": True}, prompt="two dogs <lora:live:1>", negative_prompt="rain")
    region = {"shape": WHOLE, "prompt": "two dogs"}
    regional = client.txt2img(on(region), prompt="a house <lora:live:1>", negative_prompt="rain")
    without = client.txt2img({"enabled": True}, prompt="two dogs", negative_prompt="rain")
    assert is_the_one_and_not_the_other(regional, expected, without)
    with pytest.raises(RefusedError, match=r"regions\[0\]\.prompt: put <lora:\.\.\.> in the main prompt") as refused:
        client.txt2img(on({"shape": LEFT, "prompt": "a cat <lora:live:1>"}))
    assert refused.value.status == 422


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({"shape": LEFT, "prompt": "a cat AND a dog"}, r"regions\[0\]\.prompt: AND joins prompts"),
        ({"shape": LEFT, "negative_prompt": "<hypernet:x:1>"}, r"regions\[0\]\.negative_prompt: put <hypernet:\.\.\.>"),
        ({"shape": {**LEFT, "width": -1}}, r"regions\[0\]\.shape\.width must be greater than 0"),
        ({"shape": {"type": "mask", "png": "AAAA"}}, r"regions\[0\]\.shape\.png must be a PNG"),
        ({"shape": LEFT, "promt": "a"}, r"regions\[0\]: unknown key"),
    ],
)
def test_a_region_that_cannot_be_is_refused_by_name(client: Client, region: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=message) as refused:
        client.txt2img(on(region))
    assert refused.value.status == 422


def test_metadata_hold_the_regions_and_give_them_back(client: Client) -> None:
    nasty = 'a "quoted" cat, Steps: 99, InstantAS: "x", [it\'s]: {"json": 1} \\ ünïcödé\nsecond line, ends with "'
    mask = Image.fromarray((np.arange(12).reshape(3, 4) * 20).astype(np.uint8))
    regions = [
        {"shape": LEFT, "prompt": nasty, "name": "left", "weight": 0.5, "feather": 0.1, "color": "#12ab34"},
        {"shape": {"type": "polygon", "points": [[0, 0], [1, 0.25], [0.5, 1]]}, "negative_prompt": nasty},
        {"shape": {"type": "mask", "png": encoded(mask)}, "enabled": False},
    ]
    made = client.txt2img({"enabled": True, "regions": {"overlap": "upper", "regions": regions}})
    kept = recorded(made.infotext)["settings"]["regions"]
    assert kept["overlap"] == "upper"
    for sent, back in zip(regions, kept["regions"], strict=True):
        assert {key: back[key] for key in sent if key != "shape"} == {k: v for k, v in sent.items() if k != "shape"}
    assert kept["regions"][1]["shape"] == regions[1]["shape"]
    png = io.BytesIO(base64.b64decode(kept["regions"][2]["shape"]["png"]))
    assert (np.asarray(Image.open(png)) == np.asarray(mask)).all()
    again = client.txt2img({"enabled": True, "regions": json.dumps(kept)})
    assert gap(made, again) == 0
    assert recorded(again.infotext)["settings"]["regions"] == kept


def test_the_hires_pass_keeps_the_regions(client: Client) -> None:
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7, "steps": 4}
    prompts = {"prompt": "[a red cat:two dogs:0.5]", "negative_prompt": "blur"}
    expected = client.txt2img({"enabled": True}, **{**hires, **prompts})
    regional = client.txt2img(on({"shape": WHOLE, **prompts}), **{**hires, **MAIN})
    assert expected.images[0].size == (480, 288)
    assert gap(regional, expected) < ROUNDING
    assert gap(client.txt2img({"enabled": True}, **{**hires, **MAIN}), expected) > DIFFERENT


def test_img2img_keeps_the_regions(client: Client) -> None:
    source = Image.fromarray(np.random.default_rng(0).integers(0, 255, (192, 320, 3), dtype=np.uint8))
    prompts = {"prompt": "two dogs", "negative_prompt": "blur"}
    expected = client.img2img(source, {"enabled": True}, **prompts, denoising_strength=0.8)
    regional = client.img2img(source, on({"shape": WHOLE, **prompts}), **MAIN, denoising_strength=0.8)
    assert gap(regional, expected) < ROUNDING


def test_inpainting_only_a_part_sees_the_regions_of_that_part(client: Client) -> None:
    source = Image.fromarray(np.random.default_rng(0).integers(0, 255, (192, 320, 3), dtype=np.uint8))
    mask = np.zeros((192, 320), np.uint8)
    mask[60:130, 220:290] = 255
    fields = {"mask": encoded(Image.fromarray(mask)), "inpaint_full_res": True, "inpaint_full_res_padding": 8}
    fields |= {"denoising_strength": 0.9, "inpainting_fill": 1}
    prompts = {"prompt": "two dogs", "negative_prompt": "blur"}
    main = client.img2img(source, {"enabled": True}, **fields, **MAIN)
    elsewhere = client.img2img(source, on({"shape": LEFT, **prompts}), **fields, **MAIN)
    right = {**LEFT, "x": 0.5}
    there = client.img2img(source, on({"shape": right, **prompts}), **fields, **MAIN)
    assert gap(elsewhere, main) < 0.01
    assert is_the_one_and_not_the_other(there, client.img2img(source, {"enabled": True}, **fields, **prompts), main)


def test_a_refiner_reads_the_regions_anew(client: Client) -> None:
    refiner = {"refiner_checkpoint": "sd1-second.safetensors", "refiner_switch_at": 0.5, "steps": 4}
    prompts = {"prompt": "two dogs", "negative_prompt": "blur"}
    expected = client.txt2img({"enabled": True}, **{**refiner, **prompts})
    assert gap(client.txt2img(on({"shape": WHOLE, **prompts}), **{**refiner, **MAIN}), expected) < ROUNDING


def test_a_picture_of_one_tile_has_its_regions_too(client: Client) -> None:
    small = {"width": 128, "height": 128}
    prompts = {"prompt": "two dogs", "negative_prompt": "blur"}
    expected = client.txt2img(**{**small, **prompts})
    made = client.txt2img(on({"shape": WHOLE, **prompts}), **{**small, **MAIN})
    assert gap(made, expected) < ROUNDING
    assert "1 region" in done(made)


@pytest.mark.parametrize("optimisation", ["sdp", "sdp-no-mem", "Doggettx", "InvokeAI", "V1", "sub-quadratic", "None"])
def test_regions_do_not_mind_which_attention_the_host_has_chosen(client: Client, optimisation: str) -> None:
    options = client.get("/sdapi/v1/options")["cross_attention_optimization"]
    client.post("/sdapi/v1/options", {"cross_attention_optimization": optimisation})
    try:
        whole_is_its_prompt(client, "two dogs")
    finally:
        client.post("/sdapi/v1/options", {"cross_attention_optimization": options})


@pytest.mark.parametrize("action", ["", "raise", "interrupt"])
def test_after_a_regional_picture_the_host_is_as_before(client: Client, action: str) -> None:
    by_the_host_itself = client.changes(action, 3, None)
    assert client.changes(action, 3, on({"shape": LEFT, "prompt": "two dogs"})) - by_the_host_itself == set()
