"""What is said in the language of the host's page, and what stays English."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from modules import localization, processing, shared

from lib_instantas.editor.presets import PresetStore
from lib_instantas.editor.service import EditorService
from lib_instantas.errors import told
from lib_instantas.hosts.a1111.language import here, words
from lib_instantas.hosts.a1111.live_line import PlannedPass, forecast
from lib_instantas.hosts.a1111.own_presets import _save_here
from lib_instantas.hosts.a1111.presets import note_for
from lib_instantas.infotext import KEY
from lib_instantas.settings import SettingsError, names, parse_settings

FOLDER = Path(__file__).resolve().parents[2] / "localizations"

WRONG = {"enabled": True, "gamma": 3.0}
GERMAN_ERROR = "InstantAS: gamma: erlaubt ist eine Zahl zwischen 0 und 1, angegeben ist 3.0"


@pytest.fixture
def speaking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Sets the host's language; its files are merged as the host does it, a language pack's before the extension's."""
    pack = tmp_path / "de_DE.json"
    pack.write_text(json.dumps({"Steps": "Schritte", "about {work}": "ungefähr {work}", "rtl": False}), "utf-8")
    files = {path.stem: [str(path)] for path in FOLDER.glob("*.json")}
    files["de_DE"].insert(0, str(pack))
    monkeypatch.setattr(localization, "localizations", files)

    def speak(name: str) -> None:
        monkeypatch.setattr(shared.opts, "localization", name, raising=False)

    return speak


def line(**values: Any) -> str:
    settings = parse_settings({"enabled": True, "fit": "fitted", "edges": "elastic", **values})
    return here(forecast(settings, [PlannedPass("then {work}", (512, 2048), 20, exact=False)], native=64))


def test_the_words_are_those_of_all_files_of_the_language(speaking: Callable[[str], None]) -> None:
    speaking("None")
    assert words() == {}
    speaking("de_DE")
    assert words()["Steps"] == "Schritte"
    assert words()["about {work}"] == "etwa {work}"
    assert "rtl" not in words()
    speaking("xx_XX")
    assert words() == {}


def test_a_file_that_changes_is_read_anew_and_one_that_is_broken_is_left_out(
    speaking: Callable[[str], None], tmp_path: Path
) -> None:
    own = tmp_path / "own.json"
    localization.localizations["own"] = [str(own), *localization.localizations["de_DE"]]
    speaking("own")
    assert here("Steps") == "Schritte"
    own.write_text("{", "utf-8")
    assert here("Steps") == "Schritte"
    localization.localizations["own"] = [str(own)]
    own.write_text('{"Steps": "Stufen, ganz andere"}', "utf-8")
    assert here("Steps") == "Stufen, ganz andere"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("None", "then about 4 tiles of 512x512, 80 UNet evaluations of a tile instead of 20 of 2048x512: about "),
        (
            "de_DE",
            "danach etwa 4 Kacheln von 512x512, 80 UNet-Auswertungen mit je einer Kachel statt 20 mit 2048x512",
        ),
        (
            "ja_JP",
            "次に、概算で 512x512 のタイル 4 枚、UNet の推論 80 回（タイル単位）。2048x512 全体を 20 回処理",
        ),
        ("zh_CN", "然后约 4 个 512x512 的分块，UNet 推理 80 次（每次一个分块），而不是处理 2048x512 20 次"),
    ],
)
def test_the_live_line_is_in_the_language_with_its_numbers(
    speaking: Callable[[str], None], name: str, said: str
) -> None:
    speaking(name)
    assert said in line()


def test_what_has_no_effect_is_in_the_language(speaking: Callable[[str], None]) -> None:
    speaking("de_DE")
    assert line(gamma=0.1).endswith("; gamma hat bei schedule golden keine Wirkung")


def test_an_error_is_in_the_language_at_the_page_and_english_in_the_api(
    speaking: Callable[[str], None], make: Callable[..., processing.Processing]
) -> None:
    speaking("de_DE")
    for is_api, message in ((False, GERMAN_ERROR), (True, "InstantAS: gamma must be between 0 and 1, got 3.0")):
        p = make(WRONG)
        p.is_api = is_api
        with pytest.raises(SettingsError) as caught:
            processing.process_images(p)
        assert str(caught.value) == message
        assert caught.value.detail == message


def test_the_metadata_stay_english(speaking: Callable[[str], None], make: Callable[..., processing.Processing]) -> None:
    speaking("de_DE")
    p = make({"enabled": True, "gamma": 0.1})
    processing.process_images(p)
    assert "gamma has no effect with schedule golden" in p.extra_generation_params[KEY]


def test_presets_say_what_became_of_them_in_the_language(speaking: Callable[[str], None]) -> None:
    speaking("de_DE")
    values = list(parse_settings({}).dict().values())
    assert _save_here("Standard", *values)[1] == (
        "<p>InstantAS: &#x27;Standard&#x27; ist eingebaut; nehmen Sie einen anderen Namen</p>"
    )
    values[names().index("compose")] = True
    note = note_for("Standard", values, lambda name: f"x_{name}")
    assert "<span>Erst komponieren ein</span>" in note


def test_the_editor_is_answered_in_the_language(speaking: Callable[[str], None], tmp_path: Path) -> None:
    speaking("de_DE")
    service = EditorService(PresetStore(tmp_path), words=words)
    answer = json.loads(service.answer(json.dumps({"id": 1, "method": "load", "params": {"name": "sky"}})))
    assert answer["error"] == "InstantAS: es gibt keine Voreinstellung 'sky'"
    canvas = {"width": 32768, "height": 32768}
    plan = json.loads(
        service.answer(json.dumps({"id": 2, "method": "plan", "params": {"canvas": canvas, "settings": {"tile": 64}}}))
    )
    assert plan["result"]["left_out"].startswith("das Raster wird nicht gezeichnet: höchstens 10000 Kacheln")


def test_without_a_language_the_editor_answers_in_english(tmp_path: Path) -> None:
    answer = EditorService(PresetStore(tmp_path)).answer('{"id": 1, "method": "load", "params": {"name": "sky"}}')
    assert json.loads(answer)["error"] == "InstantAS: no preset 'sky'"
    assert told(ValueError("plain")) == "plain"
