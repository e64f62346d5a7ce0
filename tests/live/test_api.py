from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from client import DEFAULT_TILES, SMALL, Client, Made, RefusedError, same
from infotexts import done, recorded
from PIL import Image, PngImagePlugin
from webui import WebUI

ON = {"enabled": True}
SIX_TILES = "6 tiles of 128x128"
NASTY = 'a "quoted" cat, Steps: 99, InstantAS: "x", [it\'s]: {"json": [1, 2]} \\ ünïcödé, ends with "'


def test_one_object_with_named_keys_is_enough(client: Client) -> None:
    made = client.txt2img({"enabled": True, "schedule": "cyclic", "gamma": 0.015})
    assert made.images[0].size == (320, 192)
    assert done(made) == f"{SIX_TILES}, 12 UNet evaluations"
    assert recorded(made.infotext)["settings"]["gamma"] == 0.015


def positional(client: Client) -> dict[str, Any]:
    """What the schema says of each setting that has a place in a list of values: a preset is chosen by name only."""
    properties: dict[str, Any] = client.get("/instantas/schema")["properties"]
    return {name: setting for name, setting in properties.items() if name != "preset"}


def test_positional_values_in_the_panels_order_mean_the_same(client: Client) -> None:
    info = next(i for i in client.get("/sdapi/v1/script-info") if i["name"] == "instantas" and not i["is_img2img"])
    labels = [arg["label"] for arg in info["args"]]
    values = [arg["value"] for arg in info["args"]]
    schema = positional(client)
    assert labels[1:] == [setting["label"] for setting in schema.values()][1:]
    values[0], values[labels.index(schema["gamma"]["label"])] = True, 0.5
    assert same(client.txt2img(values), client.txt2img({"enabled": True, "gamma": 0.5}))


def test_the_host_cuts_off_positional_values_that_are_too_many(client: Client) -> None:
    """As docs/settings.md says: what no setting stands for is gone before the extension sees it."""
    count = len(positional(client))
    values: list[object] = [True, *[None] * (count - 1)]
    assert same(client.txt2img([*values, "one too many"]), client.txt2img(values))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"enabled": True, "gama": 0.1}, "unknown setting 'gama'"),
        ({"enabled": True, "gamma": 1.5}, "gamma must be between 0 and 1, got 1.5"),
        ({"enabled": True, "schedule": "fast"}, "schedule must be one of golden, cyclic, random, got 'fast'"),
        ({"enabled": "yes"}, "enabled must be true or false, got 'yes'"),
        ({"enabled": True, "tile": 100}, "tile must be 0 (automatic) or a multiple of 64"),
        ({"enabled": True, "width": 40000}, "width must be 0 (the page's own) or a whole number between 64 and 32768"),
        ([True, "Nonsense"], "method must be one of"),
    ],
)
def test_a_bad_setting_is_refused_by_name(client: Client, settings: object, message: str) -> None:
    with pytest.raises(RefusedError, match="InstantAS: ") as refused:
        client.txt2img(settings)  # type: ignore[arg-type]
    assert refused.value.status == 422
    assert message in str(refused.value)


def test_a_bad_setting_leaves_the_next_generation_alone(client: Client) -> None:
    before = client.txt2img()
    with pytest.raises(RefusedError):
        client.txt2img({"enabled": True, "gamma": "much"})
    assert same(before, client.txt2img())


def test_the_schema_describes_every_setting(client: Client) -> None:
    schema = client.get("/instantas/schema")
    assert schema["additionalProperties"] is False
    assert (
        schema["properties"]["gamma"] | {"minimum": 0, "maximum": 1, "type": "number"}
        == (schema["properties"]["gamma"])
    )
    assert "InstantAS" in schema["properties"]["method"]["enum"]


def test_our_routes_ask_for_the_hosts_credentials(client: Client) -> None:
    for credentials in (None, ("live", "wrong"), ("nobody", "test-pass")):
        with pytest.raises(RefusedError) as refused:
            Client(client.url, credentials).get("/instantas/schema")
        assert refused.value.status == 401


@pytest.mark.parametrize(("width", "height"), [(1209, 523), (321, 192), (65, 1001)])
def test_a_picture_has_its_own_size_to_the_pixel(client: Client, width: int, height: int) -> None:
    made = client.txt2img({"enabled": True, "width": width, "height": height})
    assert made.images[0].size == (width, height)
    assert f"Size: {width}x{height}," in made.infotext
    assert (made.info["width"], made.info["height"]) == (width, height)


def test_a_side_beyond_the_hosts_sliders(client: Client) -> None:
    made = client.txt2img({"enabled": True, "width": 4099, "height": 64}, steps=1)
    assert made.images[0].size == (4099, 64)


def test_the_saved_file_has_the_exact_size_and_the_same_metadata(webui: WebUI) -> None:
    made = webui.client.txt2img({"enabled": True, "width": 323, "height": 197}, save_images=True, seed=77)
    saved = max((webui.data / "pictures").rglob("*.png"), key=lambda path: path.stat().st_mtime)
    with Image.open(saved) as picture:
        assert isinstance(picture, PngImagePlugin.PngImageFile)
        assert picture.size == (323, 197)
        assert picture.text["parameters"] == made.infotext


@pytest.mark.parametrize("prompt", ["a cat", NASTY])
def test_infotext_brings_back_settings_and_picture(client: Client, prompt: str) -> None:
    settings = {"enabled": True, "gamma": 0.33, "schedule": "cyclic", "edges": "ring/clamp", "tile": 192}
    settings |= {"fit": "native", "movement": "together", "tile_batch": 3, "width": 333, "height": 199}
    first = client.txt2img(settings, prompt=prompt)
    again = client.txt2img(**dict.fromkeys(SMALL), infotext=first.infotext)
    assert same(first, again)
    assert recorded(again.infotext) == recorded(first.infotext)
    assert recorded(again.infotext)["settings"].items() >= settings.items()
    assert _without_automatic(again.infotext) == _without_automatic(first.infotext)


def _without_automatic(infotext: str) -> str:
    """WebUI 1.9 names the schedule only where a request does, and reads its absence as the name."""
    return infotext.replace("Schedule type: Automatic, ", "")


def test_infotext_without_us_switches_us_off(client: Client) -> None:
    plain = client.txt2img()
    again = client.txt2img(**dict.fromkeys(("prompt", "steps", "width", "height")), infotext=plain.infotext)
    assert "InstantAS" not in again.infotext
    assert same(plain, again)


def test_a_picture_that_fits_one_tile_says_so_and_is_the_hosts_own(client: Client) -> None:
    size = {"width": 120, "height": 96}
    made = client.txt2img(ON, **size)
    assert done(made) == "off: the image fits one tile"
    assert same(made, client.txt2img(**size))


def test_direct_is_the_hosts_own_picture(client: Client) -> None:
    made = client.txt2img({"enabled": True, "method": "direct", **DEFAULT_TILES})
    assert done(made) == "1 tile of 320x192, 2 UNet evaluations"
    assert same(made, client.txt2img())


@pytest.mark.parametrize("axis", ["[InstantAS] Bridging γ", "[InstantAS] Schedule", "[InstantAS] Enabled"])
def test_an_xyz_plot_shows_what_single_pictures_show(client: Client, axis: str) -> None:
    values = {"γ": ("gamma", [0.1, 0.5]), "ule": ("schedule", ["golden", "cyclic"]), "led": ("enabled", [False, True])}
    name, pair = values[axis[-1] if axis.endswith("γ") else axis[-3:]]
    made = _plot(client, axis, pair)
    for picture, value in zip(made.images[1:3], pair, strict=True):
        single = client.txt2img({"enabled": True, "schedule": "cyclic", name: value})
        assert np.array_equal(np.asarray(picture.convert("RGB")), single.pixels)


def _plot(client: Client, axis: str, values: list) -> Made:
    info = next(i for i in client.get("/sdapi/v1/script-info") if i["name"] == "x/y/z plot" and not i["is_img2img"])
    args = [arg.get("value") for arg in info["args"]]
    labels = [arg["label"] for arg in info["args"]]
    x_choices = info["args"][0]["choices"]
    args[0], args[1] = x_choices.index(axis), ", ".join(map(str, values))
    args[labels.index("Use text inputs instead of dropdowns")] = True
    args[labels.index("Include Sub Images")] = True
    for empty, kind in ((3, 0), (6, 0)):
        args[empty] = kind
    base = {"enabled": True, "schedule": "cyclic"}
    return client.txt2img(base, script_name="x/y/z plot", script_args=args)


@pytest.mark.parametrize(
    ("axis", "values", "words"),
    [
        ("Bridging γ", [0.1, 7], "gamma must be between 0 and 1, got 7"),
        ("Width", [512, "abc"], "width must be .*, got 'abc'"),
    ],
)
def test_an_xyz_plot_refuses_a_bad_value_before_it_begins(client: Client, axis: str, values: list, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        _plot(client, f"[InstantAS] {axis}", values)


def test_a_preset_is_its_settings(client: Client) -> None:
    named = client.txt2img({"enabled": True, "preset": "As in the paper", "gamma": 0.25})
    settings = {"edges": "ring", "schedule": "cyclic", "gamma": 0.25, "fit": "native"}
    assert same(named, client.txt2img({"enabled": True, **settings}))
    with pytest.raises(RefusedError, match=r"preset must be one of Standard, .*got 'paper'"):
        client.txt2img({"enabled": True, "preset": "paper"})
