from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.editor.presets import MAX_NAME, MAX_PRESETS, PresetError, PresetStore, file_name

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=MAX_NAME)
PATHS = st.lists(st.sampled_from(["..", "/", "\\", ".", ":", "%2e", "%2f", "~", "$HOME", "a"]), min_size=1).map("".join)


@given(NAMES | PATHS)
def test_a_file_name_is_a_plain_one_or_the_name_is_refused(name):
    try:
        encoded = file_name(name)
    except PresetError:
        return
    stem = encoded.removeprefix("preset-").removesuffix(".json")
    assert encoded == f"preset-{stem}.json"
    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_%ABCDEF=")
    assert len(encoded.encode()) <= 100


@given(NAMES, NAMES)
def test_different_names_have_different_files_on_any_file_system(first, second):
    try:
        names = file_name(first), file_name(second)
    except PresetError:
        return
    assert (names[0].lower() == names[1].lower()) == (first.strip() == second.strip())


@given(NAMES | PATHS)
def test_a_preset_is_found_under_its_name_and_only_in_its_folder(tmp_path_factory, name):
    home = tmp_path_factory.mktemp("home")
    store = PresetStore(home / "presets")
    try:
        store.save(name, {"n": name})
    except PresetError:
        assert list(home.rglob("*.json")) == []
        return
    assert store.names() == [name.strip()]
    assert store.load(name) == {"n": name}
    assert [path.parent for path in home.rglob("*.json")] == [store.folder]
    store.delete(name)
    assert store.names() == []


@pytest.mark.parametrize("name", ["", "  ", "a" * (MAX_NAME + 1), "a\nb", "a\0b", "\u202egnp.exe"])
def test_a_name_that_cannot_be_kept_is_refused(tmp_path, name):
    with pytest.raises(PresetError, match="InstantAS: "):
        PresetStore(tmp_path).save(name, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("character", ["A", "語", "\N{GRINNING FACE}", "a", " .", "/."])
def test_a_hundred_characters_of_any_kind_make_a_name(tmp_path, character):
    name = ("x" + character * MAX_NAME)[:MAX_NAME].strip()
    store = PresetStore(tmp_path)
    store.save(name, {"n": 1})
    store.save(name[:-1] + "y", {"n": 2})
    assert set(store.names()) == {name, name[:-1] + "y"}
    assert (store.load(name), store.load(name[:-1] + "y")) == ({"n": 1}, {"n": 2})
    store.delete(name)
    assert store.names() == [name[:-1] + "y"]


def test_a_long_file_name_of_former_times_is_read_replaced_and_deleted(tmp_path):
    name = "語" * 20
    old = tmp_path / f"preset-{quote(name)}.json"
    old.write_text('{"n": 1}', encoding="utf-8")
    store = PresetStore(tmp_path)
    assert (store.names(), store.load(name)) == ([name], {"n": 1})
    store.save(name, {"n": 2})
    assert (store.names(), store.load(name), list(tmp_path.iterdir())) == ([name], {"n": 2}, [old])
    store.delete(name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_cannot_be_loaded_or_deleted(tmp_path):
    for action in (PresetStore(tmp_path).load, PresetStore(tmp_path / "none").delete):
        with pytest.raises(PresetError, match="no preset 'x'"):
            action("x")


def test_saving_replaces_and_leaves_no_half_written_file(tmp_path):
    store = PresetStore(tmp_path)
    store.save("one", {"n": 1})
    with pytest.raises(TypeError):
        store.save("one", {"n": object()})
    assert store.load("one") == {"n": 1}
    store.save("one", {"n": 2})
    assert store.load("one") == {"n": 2}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_preset_is_named(tmp_path):
    (tmp_path / file_name("old")).write_text("{", encoding="utf-8")
    with pytest.raises(PresetError, match="preset 'old' cannot be read"):
        PresetStore(tmp_path).load("old")


def test_a_preset_nested_too_deeply_is_named(tmp_path):
    (tmp_path / file_name("deep")).write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(PresetError, match="preset 'deep' cannot be read: it is nested too deeply"):
        PresetStore(tmp_path).load("deep")


@pytest.mark.parametrize("text", ["{", "[]", '{"canvas": 1}', "[" * 100_000])
def test_a_damaged_preset_with_a_long_name_does_not_hide_the_others(tmp_path, text, caplog):
    (tmp_path / file_name("A" * 90)).write_text(text, encoding="utf-8")
    store = PresetStore(tmp_path)
    store.save("other", {})
    assert store.names() == ["other"]
    assert "is left out" in caplog.text
    with pytest.raises(PresetError, match="cannot be read"):
        store.load("A" * 90)


def test_the_number_of_presets_is_limited(tmp_path):
    store = PresetStore(tmp_path)
    for number in range(MAX_PRESETS):
        (tmp_path / file_name(f"p{number}")).write_text("{}", encoding="utf-8")
    with pytest.raises(PresetError, match=f"{MAX_PRESETS} presets"):
        store.save("one more", {})
    store.save("p3", {"replaced": True})
    assert store.load("p3") == {"replaced": True}
