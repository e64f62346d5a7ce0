"""What is refused before sampling and why, and what is said to have no effect."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.agreement import (
    CAN_BE_IDLE,
    DECIDING,
    check,
    choices_of,
    help_of,
    methods_of,
    readers,
    settings_read,
    why_idle,
    without_effect,
)
from lib_instantas.capabilities import ALL, Capability
from lib_instantas.methods import METHODS, NAMES, Request, make_method, plans_depend_on_seed
from lib_instantas.settings import SettingsError, kind, names, option, parse_settings

WEBUI = ALL - {Capability.GRADIENTS, Capability.ATTENTION, Capability.LATENTS, Capability.SECOND_PICTURE}
STANDALONE = ("SyncDiffusion", "ElasticDiffusion", "SaFa", "Merge-Attend-Diffuse", "DemoFusion")
REGION = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a dog"}


def enabled(**values: Any) -> Any:
    return parse_settings({"enabled": True, **values})


@pytest.mark.parametrize(
    ("values", "lacking", "message"),
    [
        (
            {"method": "SyncDiffusion"},
            {Capability.GRADIENTS},
            f"method must be one of {', '.join(name for name in NAMES if name != 'SyncDiffusion')} on this host, got "
            "'SyncDiffusion': it needs gradients through the model and a measure of likeness; it runs in the "
            "standalone program (python -m lib_instantas generate)",
        ),
        (
            {"method": "ScaleCrafter"},
            {Capability.CONVOLUTIONS},
            "got 'ScaleCrafter': it needs a UNet whose convolutions can be spread; load an SD 1.x, 2.x or SDXL model",
        ),
        ({"regions": [REGION]}, {Capability.REGIONS}, "regions must be empty on this host, got '{"),
        ({"style_alignment": 0.4}, {Capability.NOISE}, "style_alignment must be 0.0 on this host, got 0.4: it needs"),
        ({"wrap": "both"}, {Capability.KNOWN_VAE}, "wrap must be off on this host, got 'both': it needs an autoenc"),
        ({"vae": "on"}, {Capability.KNOWN_VAE}, "vae must be auto or off on this host, got 'on': it needs an autoenc"),
    ],
)
def test_what_a_host_cannot_do_is_refused_by_name_and_only_there(
    values: dict[str, Any], lacking: set[Capability], message: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        check(enabled(**values), ALL - lacking)
    check(enabled(**values), ALL)
    check(parse_settings({**values, "enabled": False}), frozenset())


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        ("SyncDiffusion", {"regions": [REGION]}, "regions must be empty with the method SyncDiffusion, got '{"),
        ("ElasticDiffusion", {"wrap": "vertical"}, "wrap must be off with the method ElasticDiffusion, got 'vertical'"),
    ],
)
def test_what_a_method_cannot_do_is_refused_by_name(method: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        check(enabled(method=method, **values), ALL)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"regions must be .*; wrap must be .*"):
        check(enabled(regions=[REGION], wrap="vertical"), frozenset())


def test_menus_hold_what_a_host_can_do() -> None:
    assert methods_of(WEBUI) == [name for name in NAMES if name not in STANDALONE]
    assert choices_of("wrap", frozenset()) == ["off"]
    assert choices_of("vae", frozenset()) == ["auto", "off"]
    assert choices_of("method", WEBUI) == methods_of(WEBUI)
    assert choices_of("schedule", frozenset()) == ["golden", "cyclic", "random"]


@given(st.sampled_from(NAMES), st.sampled_from(["wrap", "vae"]), st.sets(st.sampled_from(list(Capability))))
def test_what_a_menu_offers_is_not_refused(method: str, name: str, offer: set[Capability]) -> None:
    able = frozenset(offer)
    for choice in choices_of(name, able):
        if method in methods_of(able) and name not in METHODS[method].without:
            check(enabled(method=method, **{name: choice}), able)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, []),
        ({"gamma": 0.1}, ["gamma has no effect with schedule golden"]),
        ({"gamma": 0.1, "schedule": "cyclic"}, []),
        ({"overlap": 0.75}, ["overlap has no effect with method InstantAS"]),
        ({"overlap": 0.75, "method": "Guided Fusion"}, []),
        ({"fit": "native", "method": "MultiDiffusion"}, ["fit has no effect with method MultiDiffusion"]),
        ({"fit": "native", "method": "MultiDiffusion", "style_alignment": 0.4}, []),
        ({"dilation": 2.0}, ["dilation has no effect with method InstantAS"]),
        ({"style_reference": "7"}, ["style_reference has no effect with style_alignment 0"]),
        ({"vae": "off", "vae_tile": 256}, ["vae_tile has no effect with vae off"]),
        ({"vae": "off", "vae_tile": 256, "wrap": "both"}, []),
        ({"edges": "clamp", "wrap": "both"}, ["edges has no effect with wrap both"]),
        (
            {"method": "direct", "tile": 512, "gamma": 1.0},
            ["gamma has no effect with method direct", "tile has no effect with method direct"],
        ),
    ],
)
def test_what_does_nothing_is_said(values: dict[str, Any], said: list[str]) -> None:
    assert without_effect(enabled(**values)) == said


OTHER = {
    "overlap": 0.75,
    "gamma": 0.6,
    "schedule": "cyclic",
    "edges": "clamp",
    "movement": "together",
    "fit": "native",
    "tile": 256,
    "wrap": "both",
    "dilation": 3.0,
    "dilated_levels": 2,
}


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("name", sorted(OTHER))
def test_a_method_reads_what_it_declares_and_nothing_else(method: str, name: str) -> None:
    """Another value makes another method exactly where the setting is declared to be read."""
    base = {"method": method, "schedule": "cyclic"} if name == "gamma" else {"method": method}

    def made(**values: Any) -> Any:
        canvas = (60, 300) if name == "wrap" else (100, 300)  # SpotDiffusion is a ring wherever it has several tiles
        request = Request(canvas, 64, enabled(**{**base, **values}), seed=3)
        chosen = make_method(request)
        return getattr(chosen, "dilation", None), [chosen.plan(evaluation) for evaluation in range(5)]

    assert (made() != made(**{name: OTHER[name]})) == (method in readers(name))


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("schedule", ["golden", "cyclic", "random"])
def test_pictures_of_other_seeds_have_other_tiles_only_where_that_is_declared(method: str, schedule: str) -> None:
    settings = enabled(method=method, schedule=schedule)

    def plans(seed: int) -> Any:
        made = make_method(Request((100, 300), 64, settings, seed, steps=12))
        return [made.plan(evaluation) for evaluation in range(12)]

    assert (plans(1) != plans(2)) == plans_depend_on_seed(settings)


@pytest.mark.parametrize("name", names())
def test_every_setting_says_with_which_methods_it_acts(name: str) -> None:
    assert readers(name)


def test_settings_of_the_noise_count_where_noise_is_aligned() -> None:
    assert "fit" not in settings_read(enabled(method="MultiDiffusion"))
    assert "fit" in settings_read(enabled(method="MultiDiffusion", style_alignment=0.2))


def _other(name: str) -> Any:
    """A value of a setting that is not its default."""
    field, default = option(name), option(name).default
    extra, info = field.field_info.extra, field.field_info
    if "choices" in extra:
        return extra["choices"][-1]
    if kind(field) is bool:
        return not default
    if name == "regions":
        return [{"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 1, "height": 1}, "prompt": "a"}]
    return "1" if kind(field) is str else info.le


@pytest.mark.parametrize("name", [name for name in names() if name not in DECIDING])
def test_nothing_else_decides_whether_a_setting_acts(name: str) -> None:
    for chosen in [{}, *({one: _other(one)} for one in DECIDING)]:
        without, beside = parse_settings(chosen), parse_settings({**chosen, name: _other(name)})
        assert [why_idle(without, one) for one in names()] == [why_idle(beside, one) for one in names()]


@pytest.mark.parametrize("name", DECIDING)
def test_what_decides_does(name: str) -> None:
    chosen = {"method": "direct"} if name == "style_alignment" else {}
    without, beside = parse_settings(chosen), parse_settings({**chosen, name: _other(name)})
    assert {one for one in CAN_BE_IDLE if why_idle(without, one) != why_idle(beside, one)}


def test_the_methods_help_names_each_of_a_host_once() -> None:
    for offer in (ALL, ALL - {Capability.GRADIENTS}, frozenset()):
        lines = help_of("method", offer).splitlines()[1:]
        named = [name for line in lines for name in line.partition(": ")[0].split(", ")]
        assert sorted(named) == sorted(methods_of(offer))
