"""Presets in the panel, the API, X/Y/Z plots and the host's data folder, without a WebUI."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from modules import paths
from modules.processing import process_images

from lib_instantas.editor.presets import PresetError
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.a1111.api import schema
from lib_instantas.hosts.a1111.own_presets import bring_in, own_presets, preset_names, rename, save, store
from lib_instantas.hosts.a1111.presets import note_for
from lib_instantas.hosts.a1111.settings_page import parse_arguments, with_setting
from lib_instantas.preset_files import from_file, to_file
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


def shown(**changed: Any) -> list[Any]:
    """What the panel's components hold."""
    settings = parse_settings(changed).dict()
    return [settings[name] for name in names()]


def note(chosen: str | None, values: list[Any]) -> str:
    return note_for(chosen, values, lambda name: f"script_txt2img_instantas_{name}")


def test_what_was_changed_is_told_under_the_choice_and_marked_where_it_is() -> None:
    told = note("Seamless texture", shown(wrap="both", gamma=0.4, hold=True))
    assert re.sub("<[^>]*>", "", told.partition("<style>")[0]) == (
        f"{PRESETS['Seamless texture'].about}Differs from the preset in: Bridging γ 0.4, Hold within a step on"
    )
    marked = set(re.findall(r"#script_txt2img_instantas_(\w+)", told.partition("<style>")[2]))
    assert marked == {"gamma", "hold"}


@pytest.mark.parametrize(
    ("chosen", "values"), [("Standard", [None] * len(names())), ("Seamless texture", shown(wrap="both", width=640))]
)
def test_what_is_as_in_the_preset_or_the_pictures_own_is_not_marked(chosen: str, values: list[Any]) -> None:
    assert note(chosen, values) == f"<p>{html.escape(PRESETS[chosen].about)}</p>"


def test_without_a_preset_or_with_a_wrong_value_nothing_is_told() -> None:
    assert note(None, shown(wrap="both")) == ""
    values = shown()
    values[names().index("gamma")] = 7
    assert note("Standard", values) == ""


def test_a_preset_of_ones_own_marks_what_differs_from_it() -> None:
    save("<b>", parse_settings({"gamma": 0.4}))
    assert "Differs" not in note("<b>", shown(gamma=0.4))
    assert "<style>#script_txt2img_instantas_gamma" in note("<b>", shown())


def test_one_is_renamed_and_the_rest_stays() -> None:
    save("Cloth", parse_settings({"wrap": "both"}))
    save("Other", parse_settings({"gamma": 0.4}))
    rename("Cloth", " Linen ")
    assert own_presets() == {"Linen": {"wrap": "both"}, "Other": {"gamma": 0.4}}
    rename("Linen", "L" * 100)
    assert own_presets()["L" * 100] == {"wrap": "both"}


@pytest.mark.parametrize(
    ("name", "new", "message"),
    [
        ("Standard", "Mine", "one of your own to be renamed, got 'Standard'"),
        (None, "Mine", "one of your own to be renamed, got None"),
        ("Cloth", "Standard", "'Standard' is built in"),
        ("Cloth", "Other", "there is a preset 'Other' already"),
        ("Cloth", "Cloth ", "'Cloth' has that name already"),
        ("Cloth", " ", "a preset needs a name"),
        ("Gone", "Mine", "no preset 'Gone'"),
    ],
)
def test_what_cannot_be_renamed_stays(name: str | None, new: str, message: str) -> None:
    save("Cloth", parse_settings({"wrap": "both"}))
    save("Other", parse_settings({"gamma": 0.4}))
    with pytest.raises(PresetError, match=message):
        rename(name, new)
    assert own_presets() == {"Cloth": {"wrap": "both"}, "Other": {"gamma": 0.4}}


def test_a_file_takes_them_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save("Cloth", parse_settings({"wrap": "both"}))
    save("語", parse_settings({"gamma": 0.4, "compose_lora": "päper"}))
    mine = own_presets()
    monkeypatch.setattr(paths, "data_path", str(tmp_path / "elsewhere"))
    assert bring_in(to_file(mine).encode()) == {"Cloth": "Cloth", "語": "語"}
    assert own_presets() == mine
    assert bring_in(to_file(mine).encode()) == {"Cloth": "Cloth", "語": "語"}
    assert own_presets() == mine, "what is here already comes in once"


def test_what_is_brought_in_overwrites_nothing() -> None:
    save("Cloth", parse_settings({"wrap": "both"}))
    save("Cloth (2)", parse_settings({"gamma": 0.1}))
    (store().folder / "preset-broken.json").write_text("{", "utf-8")
    given = {"Cloth": {"wrap": "vertical"}, "Standard": {"gamma": 0.2}, "broken": {}, "x" * 100: {}}
    placed = bring_in(to_file(given).encode())
    assert placed == {"Cloth": "Cloth (3)", "Standard": "Standard (2)", "broken": "broken (2)", "x" * 100: "x" * 100}
    own = own_presets()
    assert (own["Cloth"], own["Cloth (2)"]) == ({"wrap": "both"}, {"gamma": 0.1})
    assert (own["Cloth (3)"], own["Standard (2)"], own["broken (2)"]) == ({"wrap": "vertical"}, {"gamma": 0.2}, {})
    assert (store().folder / "preset-broken.json").read_text("utf-8") == "{"
    assert bring_in(to_file({"x" * 100: {"gamma": 0.3}}).encode()) == {"x" * 100: f"{'x' * 94} (2)"}


@pytest.mark.parametrize(
    ("presets", "message"),
    [
        ({"Good": {}, "Bad": {"gamma": 7}}, "'Bad' of the file: gamma must be between 0 and 1, got 7"),
        ({"Good": {}, "Bad": {"edges": "soft"}}, "edges must be one of elastic, clamp, .*, got 'soft'"),
        ({"Good": {}, "Bad": {"gama": 1}}, "'Bad' of the file: unknown setting 'gama'; known are enabled, .*gamma"),
        ({"Good": {}, "Bad": {"width": 512}}, "width cannot be set by a preset; what can is method, .*gamma"),
        ({"Good": {}, "Bad": 3}, "must be an object of named values, got 3"),
        ({"Good": {}, "Bad\n": {}, " ": {}}, "a preset needs a name"),
        ({"Good": {}, "a" * 101: {}}, "at most 100 characters, got 101"),
    ],
)
def test_of_a_file_with_something_wrong_nothing_is_kept(presets: dict[str, Any], message: str) -> None:
    content = json.loads(to_file({})) | {"presets": presets}
    with pytest.raises((SettingsError, PresetError), match=message) as error:
        bring_in(json.dumps(content).encode())
    assert str(error.value).startswith("InstantAS: ")
    assert str(error.value).count("InstantAS") == 1
    assert own_presets() == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "no text in UTF-8"),
        (b"{", "must be JSON"),
        (b"[" * 100_000, "nested too deeply|must be JSON"),
        (b"[]", "must be one of presets"),
        (b'{"presets": {}}', "must be one of presets"),
        (b'{"kind": "InstantAS presets", "version": 5, "presets": []}', "must be one of presets"),
        (b'{"kind": "InstantAS presets", "presets": {"A": {}}}', "a version up to [0-9]+, got None"),
        (b'{"kind": "InstantAS presets", "version": 99, "presets": {"A": {}}}', "a version up to [0-9]+, got 99"),
        (b'{"kind": "InstantAS presets", "version": 5, "presets": {"A": {}, "A ": {}}}', "names 'A' twice"),
        (b" " * (2**20 + 1), "at most 1048576 bytes"),
    ],
)
def test_another_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_file(content)


def test_there_is_an_end_to_what_is_brought_in(monkeypatch: pytest.MonkeyPatch) -> None:
    save("Cloth", parse_settings({"wrap": "both"}))
    monkeypatch.setattr("lib_instantas.hosts.a1111.own_presets.MAX_PRESETS", 2)
    with pytest.raises(PresetError, match="there can be 2 presets; 2 more are too many"):
        bring_in(to_file({"A": {}, "B": {}}).encode())
    assert list(own_presets()) == ["Cloth"]


def test_one_that_was_kept_before_they_said_their_version_is_read() -> None:
    store().save("Old", {"gamma": 0.4, "wrap": "both"})
    assert own_presets() == {"Old": {"gamma": 0.4, "wrap": "both"}}


@pytest.mark.parametrize("arguments", [[{"enabled": True, "gamma": 0.2}], [True], []])
def test_an_axis_of_presets(arguments: list) -> None:
    settings = parse_arguments(with_setting(arguments, "preset", "As in the paper"))
    assert settings.edges == "ring"
    assert settings.gamma == (0.2 if arguments and isinstance(arguments[0], dict) else 0.015)
