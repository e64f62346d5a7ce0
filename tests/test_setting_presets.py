"""Presets of settings: what they set, what they leave alone, and that they can be done."""

from __future__ import annotations

import pytest

from lib_instantas.agreement import check, without_effect
from lib_instantas.capabilities import Capability
from lib_instantas.errors import SettingsError
from lib_instantas.presets import KEY, OF_ONE_PICTURE, OF_THE_MACHINE, PRESET_NAMES, PRESETS, differences, expanded
from lib_instantas.settings import Settings, names, parse_settings


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_done_and_says_nothing_without_effect(name: str) -> None:
    settings = parse_settings({"enabled": True, **PRESETS[name].values})
    check(settings, frozenset(Capability))
    assert without_effect(settings) == []


def test_no_two_presets_are_the_same() -> None:
    assert len({tuple(preset.values.items()) for preset in PRESETS.values()}) == len(PRESETS)


def test_the_paper_is_the_papers() -> None:
    settings = parse_settings(expanded({KEY: "As in the paper"}))
    assert (settings.edges, settings.schedule, settings.gamma, settings.fit) == ("ring", "cyclic", 0.015, "native")
    assert settings.movement == "alternate"


def test_a_preset_sets_everything_but_what_is_the_pictures_or_the_machines() -> None:
    assert set(PRESET_NAMES) == set(names()) - {*OF_ONE_PICTURE, *OF_THE_MACHINE}
    assert set(expanded({KEY: "Standard"})) == set(PRESET_NAMES)


def test_single_values_go_before_the_preset() -> None:
    made = expanded({KEY: "As in the paper", "gamma": 0.3, "enabled": True})
    assert (made["gamma"], made["schedule"], made["enabled"]) == (0.3, "cyclic", True)
    assert KEY not in made


def test_ones_own_preset_is_known_by_its_name() -> None:
    assert expanded({KEY: "Mine"}, {"Mine": {"gamma": 0.5}})["gamma"] == 0.5


@pytest.mark.parametrize("name", ["paper", "", 3, None, ["Standard"], "x" * 5000])
def test_a_preset_that_there_is_not_is_named_with_those_that_there_are(name: object) -> None:
    with pytest.raises(SettingsError, match="preset must be one of Standard, Wide or tall") as error:
        expanded({KEY: name})
    assert len(str(error.value)) < 400


def test_what_differs_from_a_preset_is_told() -> None:
    values = PRESETS["Seamless texture"].values
    assert differences(parse_settings({**values, "width": 512}), values) == {}
    assert differences(Settings(), values) == {"wrap": "off"}
