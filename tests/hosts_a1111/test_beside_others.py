"""What else is switched on in the host: refused by name, or made to work together."""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from metadata import done
from modules import shared
from modules.processing import create_infotext, process_images
from PIL import Image
from torch import nn

from lib_instantas.denoiser import ModelCall
from lib_instantas.hosts.a1111 import neighbours
from lib_instantas.hosts.a1111.parts import SamplingPass
from lib_instantas.hosts.a1111.parts.padding import padding_as_trained
from lib_instantas.hosts.a1111.settings_page import parse_arguments
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.tiling import Segment, Span, Tile, TilePlan

ON = {"enabled": True, "fit": "fitted", "edges": "elastic"}


def beside(make: Any, title: str, *values: Any) -> Any:
    """A generation that also runs another always-on script with these values."""
    p = make(ON)
    start = len(p.script_args)
    p.script_args = (*p.script_args, *values)
    other = SimpleNamespace(title=lambda: title, args_from=start, args_to=start + len(values))
    ours = p.scripts.alwayson_scripts[0]
    p.scripts.alwayson_scripts = [other, ours]
    p.scripts.call = lambda name, *objects: _call_only(ours, name, *objects)
    return p


def _call_only(script: Any, name: str, p: Any, *objects: Any) -> None:
    getattr(script, name)(p, *objects, *p.script_args[script.args_from : script.args_to])


@pytest.mark.parametrize(
    ("title", "values", "name"),
    [
        ("Tiled Diffusion", [True, "MultiDiffusion"], "Tiled Diffusion"),
        ("Regional Prompter", [True, *[0] * 10, "Attention"], "Regional Prompter"),
    ],
)
def test_an_extension_that_cannot_act_beside_tiles_is_refused_by_name(
    make: Any, model: Any, title: str, values: list[Any], name: str
) -> None:
    with pytest.raises(SettingsError, match=f"enabled must be false while {name} is on"):
        process_images(beside(make, title, *values))
    assert model.inputs == []


@pytest.mark.parametrize(
    ("title", "values"),
    [
        ("Tiled Diffusion", [False, "MultiDiffusion"]),
        ("Regional Prompter", [True, *[0] * 10, "Latent"]),
        ("Regional Prompter", [False, *[0] * 10, "Attention"]),
        ("Regional Prompter", []),
    ],
)
def test_one_that_is_off_or_does_no_harm_may_stay(make: Any, title: str, values: list[Any]) -> None:
    assert done(process_images(beside(make, title, *values)).infotexts[0]).startswith("8 tiles")


@pytest.mark.parametrize("option", ["hypertile_enable_unet", "hypertile_enable_unet_secondpass"])
def test_hypertile_is_refused_by_name(make: Any, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setitem(shared.opts.data, option, True)
    with pytest.raises(SettingsError, match=f"host's setting {option} is on"):
        process_images(make(ON))
    process_images(make({"enabled": True, "method": "direct"}))


def test_a_replaced_unet_cannot_have_regions(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "sd_unet", SimpleNamespace(get_unet_option=lambda: "[TRT] a model"))
    left = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a fox"}
    with pytest.raises(SettingsError, match="regions must be empty while the setting SD Unet"):
        process_images(make({"enabled": True, "regions": [left]}))
    with pytest.raises(SettingsError, match="ScaleCrafter while the setting SD Unet"):
        process_images(make({"enabled": True, "method": "ScaleCrafter"}))
    process_images(make(ON))


# The host's Tiling checkbox


def test_tiling_closes_the_picture_on_both_axes(make: Any) -> None:
    p = make(ON)
    p.tiling = True
    infotext = process_images(p).infotexts[0]
    assert " wrap=both: " in infotext or ", wrap=both: " in infotext


def test_a_tileable_picture_of_one_tile_stays_the_hosts_own(make: Any) -> None:
    p = make(ON, width=128, height=120)
    p.tiling = True
    assert torch.equal(process_images(p).latents[0], process_images(make(width=128, height=120)).latents[0])


def _call(plan: TilePlan) -> ModelCall:
    return ModelCall(plan, plan.tiles, 1)


def _segment(start: int, stop: int) -> Segment:
    return Segment(Span(start, stop), Span(start, stop))


def test_inside_a_tile_convolutions_pad_as_they_were_trained() -> None:
    unet = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), nn.Conv2d(1, 1, 1))
    part = padding_as_trained(SamplingPass(SimpleNamespace(tiling=True), Settings(), (8, 16), 8, (0,), unet=unet))
    assert part is not None
    tile = Tile(_segment(0, 8), _segment(0, 8))
    with suppress(ZeroDivisionError), part(_call(TilePlan((8, 16), (tile,)))):
        assert unet[0].padding_mode == "zeros"
        raise ZeroDivisionError
    assert [one.padding_mode for one in unet] == ["circular", "zeros"]
    with part(_call(TilePlan((8, 16), (Tile(_segment(0, 8), _segment(0, 16)),)))):
        assert unet[0].padding_mode == "circular"


# Copies, and jobs within the job


def test_a_shallow_copy_samples_itself(make: Any) -> None:
    p = make(ON)
    p.seeds = [5]
    p.scripts.call("process", p)
    other = copy(p)
    other.width, other.seeds = 256, [6]
    assert other.sample().shape == (1, 4, 32, 32)
    assert not hasattr(p, "denoiser")
    assert p.sample().shape == (1, 4, 32, 64)


def test_a_job_within_the_job_does_not_change_what_the_picture_says(make: Any) -> None:
    """A face detailer makes pictures of its own before the outer one is written, and may share its metadata."""
    p = make(ON)
    p.seeds = p.all_seeds = [5]
    p.scripts.call("process", p)
    p.sample()
    for settings in ({"enabled": True, "tile": 4096}, {"enabled": False}):
        inner = make(settings, width=64, height=64, extra_generation_params=p.extra_generation_params)
        process_images(inner)
        p.scripts.call("postprocess_image_after_composite", p, SimpleNamespace(image=Image.new("RGB", (8, 8))))
        assert done(create_infotext(p)) == "8 tiles of 128x128, 24 UNet evaluations"


def test_a_method_that_another_extension_put_on_the_picture_is_called_and_stays(make: Any) -> None:
    p = make(ON)
    p.seeds = [5]
    own, called = p.sample, []
    p.sample = theirs = lambda: called.append(p) or own()
    p.scripts.call("process", p)
    latents = p.sample()
    assert called == [p]
    assert done(create_infotext(p)) == "8 tiles of 128x128, 24 UNet evaluations"
    p.script_args = (0, False)
    p.scripts.call("process", p)
    assert p.sample is theirs
    assert not torch.equal(latents, p.sample())


# What the API says


def test_settings_without_the_switch_are_said_to_be_off(make: Any) -> None:
    infotext = process_images(make({"gamma": 0.2})).infotexts[0]
    assert done(infotext) == "off: enabled is not set"
    assert "InstantAS" not in process_images(make({"enabled": False, "gamma": 0.2})).infotexts[0]


def test_two_objects_of_settings_are_one_too_many() -> None:
    with pytest.raises(SettingsError, match="args must hold one object of named settings"):
        parse_arguments([{"enabled": True}, {"gamma": 7}])


def test_what_has_no_effect_is_said(make: Any) -> None:
    infotext = process_images(make({"enabled": True, "schedule": "random", "gamma": 0.5})).infotexts[0]
    assert done(infotext).endswith("24 UNet evaluations, gamma has no effect with schedule random")
