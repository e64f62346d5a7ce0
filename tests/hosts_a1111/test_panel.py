"""The panel: a component for each setting, its defaults, and what is pasted into it."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest
from modules import processing, shared

from lib_instantas.agreement import CAN_BE_IDLE
from lib_instantas.hosts.a1111.panel import FromInfotext
from lib_instantas.hosts.a1111.script import InstantASScript
from lib_instantas.hosts.a1111.settings_page import (
    add_options,
    choices_here,
    default_settings,
    help_here,
    parse_arguments,
    with_setting,
)
from lib_instantas.infotext import to_text
from lib_instantas.settings import Settings, names, option
from lib_instantas.texts.panel import NOTES, TITLES

# The host's own gradio takes tooltips; plain gradio warns of them, and of itself.
pytestmark = pytest.mark.filterwarnings("ignore:You have unused kwarg", "ignore::DeprecationWarning")

ON = {"enabled": True}


def test_arguments_by_name_and_in_order_mean_the_same() -> None:
    in_order = [True, *[None] * (len(names()) - 1)]
    in_order[names().index("gamma")] = 0.4
    assert parse_arguments(in_order) == parse_arguments([{"enabled": True, "gamma": 0.4}])


@pytest.mark.parametrize("arguments", [[{"enabled": True, "gamma": 0.1}, None], [True], []])
def test_one_setting_is_replaced_and_the_others_stay(arguments: list) -> None:
    changed = parse_arguments(with_setting(arguments, "gamma", 0.7))
    assert changed.dict() == parse_arguments(arguments).dict() | {"gamma": 0.7}


def test_pasting_brings_back_every_setting() -> None:
    made = parse_arguments([{**ON, "gamma": 0.3, "schedule": "cyclic", "width": 999}])
    params = {"InstantAS": to_text(made, "6 tiles")}
    assert {name: FromInfotext(name)(params) for name in names()} == made.dict()


def test_pasting_a_picture_made_without_switches_off_and_keeps_the_rest() -> None:
    assert FromInfotext("enabled")({}) is False
    assert FromInfotext("gamma")({}) is None


def test_the_settings_page_offers_a_default_for_each_setting_but_those_of_one_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "opts", shared.Options())
    add_options()
    offered = {key.removeprefix("instantas_") for key in shared.opts.data_labels} - {"note"}
    assert shared.opts.data_labels["instantas_note"].default == NOTES["defaults"]
    assert {"gamma", "schedule", "tile"} <= offered <= set(names()) - {"enabled", "width", "height", "regions"}
    assert default_settings() == Settings()


def test_stored_defaults_hold_and_invalid_ones_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "opts", shared.Options(instantas_gamma=0.5, instantas_schedule="no longer there"))
    assert default_settings() == Settings(gamma=0.5)
    assert parse_arguments([{"gamma": 0.1}]).gamma == 0.1


def build_panel(tab: str = "txt2img") -> tuple[InstantASScript, list[Any]]:
    script = InstantASScript()
    script.tabname = tab
    with gr.Blocks():
        components = script.ui(tab == "img2img")
    return script, components


def test_the_panel_has_a_component_for_each_setting_with_its_default_and_limits() -> None:
    _, components = build_panel()
    assert [component.value for component in components] == list(default_settings().dict().values())
    gamma = components[names().index("gamma")]
    assert (gamma.minimum, gamma.maximum) == (0, 1)
    assert not components[0].value


def movable(script: InstantASScript) -> set[str]:
    """What of the settings that can be idle a user can change."""
    return {name for name in CAN_BE_IDLE if script.panel._by_name[name].interactive}


@pytest.mark.parametrize(
    ("settings", "moves", "stands"),
    [
        ({}, {"schedule", "edges", "tile"}, {"gamma", "overlap", "dilation", "upscaler", "region_binding"}),
        ({"schedule": "cyclic"}, {"gamma"}, {"overlap"}),
        ({"method": "MultiDiffusion"}, {"overlap"}, {"gamma", "schedule", "hold"}),
        ({"compose": True}, {"compose_strength", "compose_lora"}, {"gamma"}),
        ({"vae": "off"}, set(), {"vae_tile", "vae_mode"}),
        ({"vae": "off", "wrap": "both"}, {"vae_tile", "vae_mode"}, {"edges"}),
        ({"method": "direct", "style_alignment": 0.4}, {"fit", "tile", "style_reference"}, {"tile_batch"}),
        ({"upscale_by": 2.0}, {"upscaler", "noise_inversion"}, {"gamma"}),
        ({"method": "ScaleCrafter", "upscale_by": 2.0}, {"upscaler", "dilation"}, {"noise_inversion", "tile_batch"}),
    ],
)
def test_only_what_does_something_can_be_moved(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], moves: set[str], stands: set[str]
) -> None:
    monkeypatch.setattr("lib_instantas.hosts.a1111.panel.default_settings", lambda: Settings(**settings))
    script, _ = build_panel()
    assert moves <= movable(script)
    assert not stands & movable(script)


def test_noise_can_be_inverted_wherever_a_picture_is_given() -> None:
    assert "noise_inversion" in movable(build_panel("img2img")[0])
    assert "noise_inversion" not in movable(build_panel("txt2img")[0])


def test_no_title_of_a_group_is_the_label_of_a_setting() -> None:
    labels = {option(name).field_info.extra["label"] for name in names()}
    assert not labels & {*TITLES.values()}
    assert len({*TITLES.values()}) == len(TITLES)


def test_the_methods_help_is_of_those_that_are_offered() -> None:
    lines = help_here("method").splitlines()
    named = [name for line in lines[1:] for name in line.partition(": ")[0].split(", ")]
    assert sorted(named) == sorted(choices_here("method") or [])


def test_the_host_may_build_the_panel_again_without_losing_the_first() -> None:
    script, components = build_panel()
    with gr.Blocks():
        script.ui(False)
    assert [component for component, _ in script.infotext_fields] == components


def test_both_tabs_take_over_each_others_settings() -> None:
    """The host copies between tabs whatever has an equal target in both."""
    assert build_panel("txt2img")[0].paste_field_names == build_panel("img2img")[0].paste_field_names


def test_a_host_without_what_is_needed_gets_a_disabled_panel_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setattr("lib_instantas.hosts.a1111.panel.refusal", lambda: "cannot work on this host")
    script, components = build_panel()
    assert not any(component.interactive for component in components)
    assert script.panel is not None
    assert "InstantAS cannot work on this host" in script.panel.line.value


def test_a_host_without_what_is_needed_is_told_so_when_a_picture_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setattr("lib_instantas.hosts.a1111.script.refusal", lambda: "cannot work on this host")
    with pytest.raises(ValueError, match=r"^InstantAS: cannot work on this host"):
        processing.process_images(make(ON))
    processing.process_images(make())
