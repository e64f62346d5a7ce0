"""One declaration of every option: what is refused, and how it says so."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.infotext import DEFAULTS, KEY, VERSION, from_text, quoted, to_text
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import Settings, SettingsError, allowed, names, option, parse_settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gamma": 1.5}, "InstantAS: gamma must be between 0 and 1, got 1.5"),
        ({"gamma": float("nan")}, "InstantAS: gamma must be between 0 and 1, got nan"),
        ({"gamma": "0.5"}, "InstantAS: gamma must be between 0 and 1, got '0.5'"),
        ({"gamma": True}, "InstantAS: gamma must be between 0 and 1, got True"),
        ({"enabled": 1}, "InstantAS: enabled must be true or false, got 1"),
        ({"enabled": None}, "InstantAS: enabled must be true or false, got None"),
        ({"tile": 100}, "InstantAS: tile must be 0 (automatic) or a multiple of 64 up to 4096, got 100"),
        ({"tile_batch": 1.5}, "InstantAS: tile_batch must be a whole number between 0 and 64, got 1.5"),
        ({"fit": "tight"}, "InstantAS: fit must be one of uniform, fitted, native, fixed, got 'tight'"),
        ({"width": 40000}, "InstantAS: width must be 0 (the page's own) or a whole number between 64 and 32768"),
        ({"height": 63}, "InstantAS: height must be 0 (the page's own) or a whole number between 64 and 32768, got 63"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match="^" + re.escape(message)):
        parse_settings(values)


def test_an_unknown_setting_is_named_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting 'gama'; known are enabled, method, .*gamma"):
        parse_settings({"gama": 0.5})


def test_an_unknown_setting_of_any_length_is_named_in_short() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting 'g{60,76}\.\.\.; known are enabled") as raised:
        parse_settings({"g" * 100_000: 0.5})
    assert len(str(raised.value)) < 1000


def test_every_bad_setting_of_an_object_is_reported() -> None:
    with pytest.raises(SettingsError, match=r"gamma .* fit .*|fit .* gamma .*"):
        parse_settings({"gamma": 7, "fit": 7})


@pytest.mark.parametrize("values", [[1, 2], "enabled", None, 3])
def test_only_an_object_is_settings(values: object) -> None:
    with pytest.raises(SettingsError, match="settings must be an object of named values"):
        parse_settings(values)  # type: ignore[arg-type]


def test_a_whole_number_may_be_written_as_json_writes_it() -> None:
    assert parse_settings({"tile_batch": 3.0}).tile_batch == 3
    assert parse_settings({"gamma": 1}).gamma == 1.0


@pytest.mark.parametrize("name", names())
def test_every_option_explains_itself(name: str) -> None:
    info, extra = option(name).field_info, option(name).field_info.extra
    assert extra["label"]
    assert len(extra["help"]) > 20
    assert all(choice in allowed(name) for choice in extra.get("choices", ()))
    limits = [limit for limit in (info.ge, info.le) if limit is not None and limit != 0]
    assert all(f"{limit:g}" in allowed(name) for limit in limits), "0 may have a meaning of its own"


def test_settings_do_not_change_after_the_check() -> None:
    with pytest.raises(TypeError):
        Settings().gamma = 0.5


valid_settings = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "gamma": st.floats(0, 1),
        "schedule": st.sampled_from(["golden", "cyclic", "random"]),
        "edges": st.sampled_from(option("edges").field_info.extra["choices"]),
        "method": st.sampled_from(option("method").field_info.extra["choices"]),
        "tile": st.sampled_from([0, 64, 512, 4096]),
        "tile_batch": st.integers(0, 64),
        "width": st.sampled_from([0, 64, 1209, 32768]),
    },
).map(parse_settings)


@given(valid_settings, st.text())
def test_infotext_brings_the_same_settings_back_whatever_it_says_was_done(settings: Settings, done: str) -> None:
    assert from_text(to_text(settings, done)) == settings


def test_infotext_leaves_unsaid_what_is_as_always() -> None:
    """Whoever changes a default adds a version to DEFAULTS, and leaves the older ones as they are."""
    assert DEFAULTS[VERSION] == {**Settings().dict(), "enabled": True}
    assert to_text(parse_settings({"enabled": True, "gamma": 0.1, "fit": "native"}), "3 tiles") == (
        f"v{VERSION} gamma=0.1, fit=native: 3 tiles"
    )
    assert to_text(parse_settings({"enabled": True}), "3 tiles") == f"v{VERSION}: 3 tiles"


@pytest.mark.parametrize("name", ["true", "a b", 'say "x": 1, {2}', "null", "Ünïcödé", "v5: x", ""])
def test_a_text_among_the_settings_comes_back_whatever_it_is(name: str) -> None:
    settings = parse_settings({"enabled": True, "compose_lora": name, "wrap": "both"})
    assert from_text(to_text(settings, "off: v5 gamma=1: x")) == settings


def test_an_old_infotext_is_read_as_it_was_meant() -> None:
    assert from_text('{"version": 1, "done": "", "settings": {"gamma": 0.1}}') == parse_settings(
        {"gamma": 0.1, "told_size": "canvas"}
    )
    with_all = {"version": 1, "done": "", "settings": {**Settings().dict(), "schedule": "cyclic"}}
    assert from_text(json.dumps(with_all)).schedule == "cyclic"
    before_few_shapes = from_text('{"version": 2, "done": "", "settings": {"gamma": 0.1}}')
    assert before_few_shapes == parse_settings(
        {"gamma": 0.1, "edges": "elastic", "fit": "fitted", "told_size": "canvas", "dilated_levels": 1}
    )
    before_tables = from_text('{"version": 3, "done": "", "settings": {"method": "ScaleCrafter"}}')
    assert before_tables == parse_settings({"method": "ScaleCrafter", "told_size": "canvas", "dilated_levels": 1})


@pytest.mark.parametrize("edges", ["elastic", "sway", "elastic/sway", "ring", "clamp", "ring/clamp"])
@pytest.mark.parametrize("gamma", [0.015, 0.2, 0.25, 0.37123, 0.5, 1])
def test_before_version_6_a_cyclic_grid_moved_by_a_share_of_its_room(edges: str, gamma: float) -> None:
    read = from_text(f"v5 schedule=cyclic, edges={json.dumps(edges)}, fit=native, gamma={gamma}: 12 tiles")
    method = make_method(Request((320, 320), 64, read, steps=90))
    room = 64 if edges in ("ring", "clamp", "ring/clamp") else 32
    for evaluation in range(40):
        for axis, moves in enumerate((evaluation // 2, (evaluation + 1) // 2)):
            share = Fraction(gamma).limit_denominator(10_000) * moves % 1
            place = share if room == 64 else (share + Fraction(1, 2)) % 1 - Fraction(1, 2)
            assert method.offset(evaluation)[axis] == round(float(place) * room)


def test_one_gamma_for_two_rooms_stays_as_it_was() -> None:
    assert from_text("v5 schedule=cyclic, edges=elastic/ring, gamma=0.2: 12 tiles").gamma == 0.2
    assert from_text("v5 schedule=cyclic, wrap=horizontal, gamma=0.2: 12 tiles").gamma == 0.2
    assert from_text("v5 schedule=cyclic, wrap=both, gamma=0.2: 12 tiles").gamma == 0.2
    assert from_text("v5 gamma=0.2: 12 tiles").gamma == 0.2
    assert from_text("v6 schedule=cyclic, gamma=0.2: 12 tiles").gamma == 0.2


@given(valid_settings, st.text(), st.text())
def test_the_host_can_read_the_value_between_any_neighbours(settings: Settings, done: str, other: str) -> None:
    """The WebUI splits parameters by this pattern (key: plain value, or key: "JSON string")."""
    pattern = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    line = f"Steps: 20, {KEY}: {quoted(to_text(settings, done))}, Note: {quoted(other)}"
    found = dict(pattern.findall(line))
    assert from_text(json.loads(found[KEY])) == settings
    assert found["Steps"] == "20"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 99}',
        '{"version": true}',
        '{"version": 2, "settings": [1]}',
        '"x"',
        '{"version": 1, "settings": {"gamma": 9}}',
        '{"version": 5, "settings": {}}',
        "v99: 3 tiles",
        "v5 gamma=9: 3 tiles",
        "v5 gamma: 3 tiles",
        "v5 gamma=: 3 tiles",
        "v5 gamma=0.1",
        "v5",
    ],
)
def test_a_foreign_infotext_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        from_text(text)
