import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.editor.presets import PresetStore
from lib_instantas.editor.service import EditorService, TokenCount

BOX = {"type": "rectangle", "x": 0.1, "y": 0, "width": 0.5, "height": 1}
DRAWING = {"canvas": {"width": 1024, "height": 512}, "setup": {"regions": [{"shape": BOX, "prompt": "a fox"}]}}


@pytest.fixture
def service(tmp_path):
    return EditorService(PresetStore(tmp_path), lambda: 64, lambda text: TokenCount(len(text.split()), 75))


def ask(service, method, **params):
    answer = json.loads(service.answer(json.dumps({"id": 5, "method": method, "params": params})))
    assert answer["id"] == 5
    return answer


def test_a_drawing_is_saved_in_canonical_form_and_loaded(service):
    assert ask(service, "save", name="a", document=DRAWING)["result"] == ["a"]
    (region,) = ask(service, "load", name="a")["result"]["setup"]["regions"]
    assert region == {
        **{"name": "", "enabled": True, "shape": BOX, "prompt": "a fox"},
        **{"negative_prompt": "", "weight": 1, "feather": 0, "color": ""},
    }
    assert ask(service, "presets")["result"] == ["a"]
    assert ask(service, "delete", name="a")["result"] == []


def test_what_is_no_drawing_is_not_saved(service):
    bad = {**DRAWING, "setup": {"regions": [{"shape": {**BOX, "width": -1}}]}}
    assert "regions[0].shape.width" in ask(service, "save", name="a", document=bad)["error"]
    assert ask(service, "presets")["result"] == []


def test_a_preset_that_somebody_tampered_with_is_checked_when_it_is_loaded(service, tmp_path):
    service.presets.save("a", {"canvas": {"width": 1, "height": 512}, "setup": []})
    assert "canvas.width must be a whole number between 64 and 32768, got 1" in ask(service, "load", name="a")["error"]


def test_tokens_are_counted_where_a_tokenizer_is_at_hand(service, tmp_path):
    assert ask(service, "tokens", texts=["a red fox", ""])["result"] == [
        {"count": 3, "limit": 75},
        {"count": 0, "limit": 75},
    ]
    assert ask(EditorService(PresetStore(tmp_path)), "tokens", texts=["a"])["result"] is None


def test_a_plan_shows_the_settings_it_is_asked_for(service):
    canvas = {"width": 1536, "height": 512}
    settings = {"schedule": "cyclic", "gamma": 0.25, "edges": "ring", "fit": "native", "regions": "", "unknown": 1}
    plan = ask(service, "plan", canvas=canvas, settings=settings, steps=4)["result"]
    assert plan["canvas"] == {"height": 64, "width": 192}
    grids = [sorted({x for _, x, _, _ in plan["plans"][i]["rectangles"]}) for i in plan["steps"]]
    assert grids == [[0, 64, 128], [0, 16, 80, 144], [0, 32, 96, 160], [0, 48, 112, 176]]


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("nothing", {}, "unknown request 'nothing'"),
        ("plan", {"canvas": {"width": 8, "height": 512}}, "canvas.width must be a whole number between 64"),
        ("plan", {"canvas": 7}, "canvas must be an object"),
        ("plan", {"canvas": DRAWING["canvas"], "steps": True}, "steps must be a whole number"),
        ("plan", {"canvas": DRAWING["canvas"], "settings": {"gamma": 2}}, "gamma must be between 0 and 1, got 2"),
        ("plan", {"canvas": DRAWING["canvas"], "settings": []}, "settings must be an object"),
        ("tokens", {"texts": "a"}, "texts must be a list"),
        ("load", {"name": 3}, "name must be a text"),
        ("check", {"document": {"setup": []}}, 'a drawing must be an object with "canvas" and "setup"'),
    ],
)
def test_a_bad_request_is_answered_with_what_is_wrong(service, method, params, message):
    assert message in ask(service, method, **params)["error"]


@pytest.mark.parametrize("depth", [10, 100, 200, 500, 700, 900, 980])
@pytest.mark.parametrize("method", ["plan", "check", "save", "tokens", "load"])
def test_however_deeply_a_request_is_nested_it_is_answered(service, method, depth):
    deep = "[" * depth + "]" * depth
    params = f'{{"canvas": {deep}, "settings": {deep}, "document": {deep}, "name": {deep}, "texts": {deep}}}'
    document = f'{{"document": {{"canvas": {{"width": {deep}}}, "setup": {deep}}}, "name": "a"}}'
    settings = f'{{"canvas": {{"width": 512, "height": 512}}, "settings": {{"gamma": {deep}}}}}'
    for one in (params, document, settings):
        answer = json.loads(service.answer(f'{{"id": 1, "method": "{method}", "params": {one}}}'))
        assert answer["error"].startswith("InstantAS: ")
        assert len(answer["error"]) < 500


LEAVES = st.none() | st.booleans() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3), max_leaves=6
)
METHODS = st.sampled_from(["plan", "tokens", "check", "save", "load", "delete", "presets"])


@given(METHODS, JSON, st.dictionaries(st.sampled_from(["canvas", "settings", "texts", "document", "name"]), JSON))
def test_any_request_is_answered(tmp_path_factory, method, other, params):
    service = EditorService(PresetStore(tmp_path_factory.mktemp("presets")))
    for request in ({"id": 1, "method": method, "params": params}, {"method": other, "params": other}, other):
        answer = json.loads(service.answer(json.dumps(request)))
        assert ("error" in answer) != ("result" in answer)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "7", "null"])
def test_what_is_no_request_is_answered_too(service, text):
    assert json.loads(service.answer(text))["error"].startswith("InstantAS: the request")
