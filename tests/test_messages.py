"""Sentences with values in them: English for programs, and in the language of a page."""

from __future__ import annotations

import pytest

from lib_instantas.errors import told
from lib_instantas.settings import SettingsError, parse_settings
from lib_instantas.texts.message import Message, Template, joined, said

TILES = Template("{count} tiles of {size}")
ABOUT = Template("about {work}")
ALSO = Template("{first}, {then}")
GERMAN = {
    "{count} tiles of {size}": "{count} Kacheln von {size}",
    "about {work}": "etwa {work}",
    "{first}, {then}": "{then} nach {first}",
    "InstantAS: empty": "leer",
    "off": "aus",
}


def test_a_message_is_its_english_text() -> None:
    message = TILES(count=4, size="512x512")
    assert message == "4 tiles of 512x512"
    assert f"{message}" == "4 tiles of 512x512"


def test_values_that_are_messages_are_said_in_the_same_language_and_others_are_left_alone() -> None:
    assert said(ABOUT(work=TILES(count=4, size="off")), GERMAN) == "etwa 4 Kacheln von off"
    assert said(ABOUT(work=Template("empty")()), GERMAN) == "etwa leer"


def test_several_are_put_together_as_the_language_does() -> None:
    parts = [TILES(count=1, size="a"), "", ABOUT(work="2")]
    assert joined(parts, ALSO) == "1 tiles of a, about 2"
    assert said(joined(parts, ALSO), GERMAN) == "etwa 2 nach 1 Kacheln von a"
    assert joined([], ALSO) == ""
    assert joined(["alone"], ALSO) == "alone"


@pytest.mark.parametrize(
    "wrong", ["{number} Kacheln", "{count:%Q} Kacheln", "{count Kacheln", "{} Kacheln", "{count.x}"]
)
def test_a_translation_that_does_not_fit_is_not_used(wrong: str) -> None:
    assert said(TILES(count=4, size="512x512"), {TILES: wrong}) == "4 tiles of 512x512"


def test_braces_in_a_value_are_no_fields() -> None:
    assert said(ABOUT(work=Message("{what}", what="{count}")), GERMAN) == "etwa {count}"


def test_an_error_is_english_and_can_be_said_in_another_language() -> None:
    words = {
        "InstantAS: {message}": "InstantAS: {message}!",
        "{first}; {then}": "{first} / {then}",
        "{name} must be {allowed}, got {value}": "{name}: {allowed}, nicht {value}",
        "between {low} and {high}": "{low} bis {high}",
        "one of {choices}": "eins von {choices}",
    }
    with pytest.raises(SettingsError) as caught:
        parse_settings({"gamma": 3.0, "movement": "up"})
    assert str(caught.value).startswith("InstantAS: gamma must be between 0 and 1, got 3.0; movement must be one of ")
    assert said(told(caught.value), words).startswith("InstantAS: gamma: 0 bis 1, nicht 3.0 / movement: eins von ")


def test_the_reason_inside_a_setting_is_said_too() -> None:
    """pydantic makes a plain text of what a validator raises."""
    words = {
        "{place} {problem}": "{place} {problem}",
        "must be {version}, got {value}": "muss {version} sein, nicht {value}",
    }
    with pytest.raises(SettingsError) as caught:
        parse_settings({"regions": '{"version": 7, "regions": []}'})
    assert str(caught.value) == "InstantAS: version must be 1, got 7"
    assert said(told(caught.value), words) == "InstantAS: version muss 1 sein, nicht 7"
    with pytest.raises(SettingsError) as caught:
        parse_settings({"style_reference": "red"})
    reference = str(caught.value).removeprefix("InstantAS: style_reference ").removesuffix(", got 'red'")
    assert said(told(caught.value), {reference: "geht nicht"}) == "InstantAS: style_reference geht nicht, got 'red'"


def test_other_errors_say_what_they_say() -> None:
    assert told(OSError(2, "no such file")) == "[Errno 2] no such file"
    assert told(ValueError()) == ""
