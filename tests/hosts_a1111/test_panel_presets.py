"""Presets in the panel, the API, X/Y/Z plots and the host's data folder, without a WebUI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from modules import paths
from modules.processing import process_images

from lib_instantas.editor.presets import PresetError
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.a1111.api import schema
from lib_instantas.hosts.a1111.presets import note_for, own_presets, preset_names, save, store
from lib_instantas.hosts.a1111.settings_page import parse_arguments, with_setting
from lib_instantas.presets import PRESETS
from lib_instantas.settings import names, parse_settings


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(paths, "data_path", str(tmp_path))
    return tmp_path


def test_a_request_may_name_a_preset_and_change_single_settings() -> None:
    settings = parse_arguments([{"enabled": True, "preset": "As in the paper", "gamma": 0.1}])
    assert (settings.edges, settings.fit, settings.gamma) == ("ring", "native", 0.1)


def test_a_preset_goes_before_the_users_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    from modules import shared

    monkeypatch.setattr(shared.opts, "instantas_schedule", "random", raising=False)
    monkeypatch.setattr(shared.opts, "instantas_vae", "off", raising=False)
    settings = parse_arguments([{"preset": "Standard"}])
    assert (settings.schedule, settings.vae) == ("golden", "off")


def test_a_picture_of_a_preset_is_that_of_its_settings(make: Any) -> None:
    by_name = process_images(make({"enabled": True, "preset": "As in the paper"}))
    one_by_one = process_images(make({"enabled": True, **PRESETS["As in the paper"].values}))
    assert by_name.infotexts == one_by_one.infotexts
    assert "preset" not in by_name.infotexts[0]


def test_a_preset_that_there_is_not_stops_the_generation(make: Any) -> None:
    with pytest.raises(Exception, match=r"preset must be one of Standard, .*, got 'Nothing'"):
        process_images(make({"enabled": True, "preset": "Nothing"}))


def test_ones_own_are_kept_replaced_and_deleted(data: Path) -> None:
    save(" Mine ", parse_settings({"gamma": 0.4, "schedule": "cyclic", "width": 2048}))
    assert own_presets() == {"Mine": {"gamma": 0.4, "schedule": "cyclic"}}
    assert preset_names()[-1] == "Mine"
    assert parse_arguments([{"preset": "Mine"}]).gamma == 0.4
    assert schema()["properties"]["preset"]["enum"][-1] == "Mine"
    store().delete("Mine")
    with pytest.raises(SettingsError, match="preset must be one of"):
        parse_arguments([{"preset": "Mine"}])


def test_a_built_in_name_is_not_overwritten() -> None:
    with pytest.raises(PresetError, match="'Standard' is built in"):
        save("Standard", parse_settings({}))


@pytest.mark.parametrize("content", ["{", "[1]", '{"gamma": 7}', '{"unheard": 1}'])
def test_a_preset_that_cannot_be_read_is_left_out(data: Path, content: str) -> None:
    save("Good", parse_settings({"gamma": 0.4}))
    save("Bad", parse_settings({}))
    (bad,) = (path for path in store().folder.iterdir() if "ad" in path.name)
    bad.write_text(content, "utf-8")
    assert list(own_presets()) == ["Good"]


def test_what_was_changed_is_told_under_the_choice() -> None:
    values = [parse_settings({"wrap": "both", "gamma": 0.4}).dict()[name] for name in names()]
    assert note_for("Seamless texture", values).endswith("Changed here: Bridging γ 0.4.</p>")
    assert "Changed" not in note_for("Standard", [None] * len(names()))
    assert note_for(None, values) == ""
    values[names().index("gamma")] = 7
    assert note_for("Seamless texture", values) == ""


@pytest.mark.parametrize("arguments", [[{"enabled": True, "gamma": 0.2}], [True], []])
def test_an_axis_of_presets(arguments: list) -> None:
    settings = parse_arguments(with_setting(arguments, "preset", "As in the paper"))
    assert settings.edges == "ring"
    assert settings.gamma == (0.2 if arguments and isinstance(arguments[0], dict) else 0.015)
