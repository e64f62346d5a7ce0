import base64
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lib_instantas.mask_png import MAX_MASK_BYTES, MAX_MASK_SIDE
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.regions_json import MAX_POINTS, MAX_REGIONS, setup_from_json, setup_from_text, setup_to_text
from lib_instantas.settings import SettingsError, parse_settings
from lib_instantas.shapes import Mask, Polygon, Rectangle

BOX = {"type": "rectangle", "x": 0.1, "y": 0.0, "width": 0.4, "height": 1.0}
FLOATS = st.floats(-10, 10)
LEVELS = st.integers(0, 999).map(lambda seed: torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (6, 9))))
SHAPES = (
    st.builds(Rectangle, FLOATS, FLOATS, st.floats(1e-9, 20), st.floats(1e-9, 20))
    | st.lists(st.tuples(FLOATS, FLOATS), min_size=3, max_size=9).map(tuple).map(Polygon)
    | LEVELS.map(lambda levels: Mask(levels.float() / 255))
)
REGIONS = st.builds(
    Region,
    SHAPES,
    prompt=st.text(max_size=50),
    negative_prompt=st.text(max_size=50),
    weight=st.floats(0, 10),
    feather=st.floats(0, 1),
    name=st.text(max_size=20),
    enabled=st.booleans(),
    color=st.from_regex(r"\A(#[0-9a-f]{6})?\Z"),
)


def png(image: Image.Image, prefix: str = "") -> str:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return prefix + base64.b64encode(file.getvalue()).decode()


def read_mask(text: str) -> torch.Tensor:
    return setup_from_json([{"shape": {"type": "mask", "png": text}}]).regions[0].shape.values


@given(st.lists(REGIONS, max_size=4).map(tuple), st.sampled_from(["weight", "upper"]))
def test_a_setup_survives_its_text(regions, overlap):
    setup = RegionSetup(regions, overlap)
    assert setup_from_text(setup_to_text(setup)) == setup


def test_only_the_shape_is_required_and_a_bare_list_will_do():
    expected = RegionSetup((Region(Rectangle(0.1, 0.0, 0.4, 1.0)),))
    assert setup_from_json([{"shape": BOX}]) == expected
    assert setup_from_json({"regions": [{"shape": BOX}]}) == expected
    assert setup_from_text(" ") == RegionSetup()


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([{}], "regions[0].shape is missing"),
        ([{"shape": BOX}, {"shape": {"type": "circle"}}], 'regions[1].shape: must be an object with "type" rectangle'),
        ([{"shape": 3}], "regions[0].shape: must be an object"),
        ([{"shape": {**BOX, "width": 0}}], "regions[0].shape.width must be greater than 0 and at most 20, got 0"),
        ([{"shape": {**BOX, "width": -1}}], "got -1"),
        ([{"shape": {**BOX, "x": True}}], "regions[0].shape.x must be between -10 and 10, got true"),
        ([{"shape": {**BOX, "x": "0.5"}}], 'regions[0].shape.x must be between -10 and 10, got "0.5"'),
        ([{"shape": {**BOX, "x": float("nan")}}], "regions[0].shape.x must be between"),
        ([{"shape": {**BOX, "y": float("inf")}}], "regions[0].shape.y must be between"),
        ([{"shape": {**BOX, "y": 10**400}}], "regions[0].shape.y must be between"),
        ([{"shape": {**BOX, "radius": 1}}], 'regions[0].shape: unknown key "radius"; known are type, x, y'),
        ([{"shape": {"type": "polygon", "points": [[0, 0], [1, 1]]}}], "points must have 3 to 512 points, got 2"),
        ([{"shape": {"type": "polygon", "points": [[0, 0]] * (MAX_POINTS + 1)}}], "got 513"),
        ([{"shape": {"type": "polygon", "points": [[0, 0], [1], [1, 1]]}}], "points[1] must be a pair [x, y]"),
        ([{"shape": {"type": "mask"}}], "regions[0].shape.png is missing"),
        ([{"shape": {"type": "mask", "png": 5}}], "regions[0].shape.png must be a text (base64), got 5"),
        ([{"shape": {"type": "mask", "png": "päng"}}], "regions[0].shape.png must be base64"),
        ([{"shape": {"type": "mask", "png": "QUJDRA=="}}], "regions[0].shape.png must be a PNG picture"),
        ([{"shape": BOX, "weight": 11}], "regions[0].weight must be between 0 and 10, got 11"),
        ([{"shape": BOX, "feather": -0.1}], "regions[0].feather must be between 0 and 1, got -0.1"),
        ([{"shape": BOX, "enabled": 1}], "regions[0].enabled must be true or false, got 1"),
        ([{"shape": BOX, "prompt": ["a"]}], "regions[0].prompt must be a text, got a list"),
        ([{"shape": BOX, "prompt": "x" * 10_001}], "regions[0].prompt must have at most 10000 characters, got 10001"),
        ([{"shape": BOX, "color": "red"}], 'regions[0].color must be like #rrggbb, or empty, got "red"'),
        ([{"shape": BOX, "color": "#12345g"}], "regions[0].color must be like"),
        ([{"shape": BOX, "promt": "a"}], 'regions[0]: unknown key "promt"'),
        ([7], "regions[0] must be an object, got 7"),
        ([{"shape": BOX}] * (MAX_REGIONS + 1), "regions must have 0 to 32 regions, got 33"),
    ],
)
def test_what_cannot_be_used_is_named(regions, message):
    with pytest.raises(SettingsError) as error:
        setup_from_json(regions)
    assert str(error.value).startswith("InstantAS: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"version": 2, "regions": []}, "version must be 1, got 2"),
        ({"version": True, "regions": []}, "version must be 1, got true"),
        ({"overlap": "lower", "regions": []}, 'overlap must be one of weight, upper, got "lower"'),
        ({"overlap": [], "regions": []}, "overlap must be one of weight, upper, got a list"),
        ({}, "regions is missing"),
        ({"regions": {}}, "regions must be a list, got an object"),
        ({"regions": [], "region": 1}, 'unknown key "region"'),
        (None, "regions must be an object, got null"),
    ],
)
def test_the_setup_itself_is_checked(value, message):
    with pytest.raises(SettingsError) as error:
        setup_from_json(value)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"regions": [1e999]}', "nonsense"])
def test_a_text_that_is_no_setup_is_refused(text):
    with pytest.raises(SettingsError):
        setup_from_text(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda c: st.lists(c, max_size=3)))
def test_whatever_json_comes_in_only_a_named_error_comes_out(value):
    with pytest.raises(SettingsError, match=r"regions\[0\]"):
        setup_from_json({"regions": [{"shape": value, "prompt": value, "weight": value}]})


def test_pictures_of_other_kinds_are_read_as_greyscale():
    levels = np.array([[0, 51], [204, 255]], dtype=np.uint8)
    expected = torch.from_numpy(levels).float() / 255
    grey = Image.fromarray(levels)
    assert torch.equal(read_mask(png(grey)), expected)
    assert torch.equal(read_mask(png(grey.convert("RGB"))), expected)
    assert torch.equal(read_mask(png(grey.convert("RGBA"), "data:image/png;base64,")), expected)
    white = Image.new("RGBA", (1, 1), (255, 255, 255, 51))
    assert read_mask(png(white)).item() == pytest.approx(0.2), "transparency counts as black"


@pytest.mark.parametrize("side", [MAX_MASK_SIDE + 1, 5_000, 20_000])
def test_a_picture_larger_than_allowed_is_refused_by_its_header_alone(monkeypatch, side):
    bomb = png(Image.new("1", (side, side)))
    assert len(bomb) < MAX_MASK_BYTES, "small when packed"
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(SettingsError, match=f"at most {MAX_MASK_SIDE} pixels wide and high"):
        read_mask(bomb)


def test_a_file_larger_than_allowed_is_refused():
    with pytest.raises(SettingsError, match=f"at most {MAX_MASK_BYTES} bytes"):
        read_mask("A" * (MAX_MASK_BYTES * 2))


def test_other_formats_and_broken_files_are_refused():
    whole = base64.b64decode(png(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))))
    jpeg = io.BytesIO()
    Image.new("L", (8, 8)).save(jpeg, format="JPEG")
    for data in (jpeg.getvalue(), whole[:100], whole[: len(whole) // 2], whole[:40] + b"xxxx" + whole[44:]):
        with pytest.raises(SettingsError, match="must be a PNG picture"):
            read_mask(base64.b64encode(data).decode())


def test_a_mask_is_written_as_eight_bit_greyscale():
    text = setup_to_text(RegionSetup((Region(Mask(torch.tensor([[0.0, 0.5, 1.0]]))),)))
    data = base64.b64decode(json.loads(text)["regions"][0]["shape"]["png"])
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode, list(np.asarray(image)[0])) == ("PNG", "L", [0, 128, 255])


def test_the_setting_takes_the_object_or_its_text_and_keeps_one_form():
    as_object = parse_settings({"regions": {"regions": [{"shape": BOX, "prompt": "a fox"}]}})
    as_text = parse_settings({"regions": json.dumps([{"prompt": "a fox", "shape": BOX}])})
    assert as_object == as_text
    assert as_object.region_setup == RegionSetup((Region(Rectangle(0.1, 0.0, 0.4, 1.0), "a fox"),))
    assert parse_settings({"regions": []}).regions == parse_settings({}).regions == ""


def test_an_error_in_the_setting_names_the_place_within_it():
    with pytest.raises(SettingsError) as error:
        parse_settings({"regions": [{"shape": BOX}, {"shape": {**BOX, "width": -1}}], "gamma": 2})
    assert str(error.value) == (
        "InstantAS: gamma must be between 0 and 1, got 2; "
        "regions[1].shape.width must be greater than 0 and at most 20, got -1"
    )
