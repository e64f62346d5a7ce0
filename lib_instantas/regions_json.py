"""The JSON form of a region setup: what the page, the API, presets and infotext exchange.

It comes from outside: everything is checked, and limited, before it is used. The checks are written out, not derived
from models, so that a message always names the place, the value and what is allowed, whatever pydantic is installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args

from lib_instantas.errors import SettingsError
from lib_instantas.mask_png import mask_from_base64, mask_to_base64
from lib_instantas.regions import Overlap, Region, RegionSetup
from lib_instantas.shapes import Mask, Polygon, Rectangle, Shape
from lib_instantas.texts import messages
from lib_instantas.texts.message import Template

VERSION = 1
MAX_TEXT = 16 * 2**20
MAX_REGIONS = 32
MAX_NAME = 100
MAX_PROMPT = 10_000
MIN_POINTS, MAX_POINTS = 3, 512
COORDINATE_LIMIT = 10.0
MAX_WEIGHT = 10.0
COLOR = re.compile(r"#[0-9a-fA-F]{6}|")


class RegionsError(SettingsError):
    """A region setup that cannot be used; the message names the place, the value and what is allowed."""

    def __init__(self, place: str, problem: str, put: Template = messages.AT) -> None:
        super().__init__(put(place=place, problem=problem))


@lru_cache(maxsize=16)
def setup_from_text(text: str) -> RegionSetup:
    """The setup that a JSON text describes; an empty text is a setup without regions. Raises RegionsError."""
    if len(text) > MAX_TEXT:
        raise RegionsError("regions", messages.TEXT_TOO_LONG(most=MAX_TEXT, value=len(text)))
    if not text.strip():
        return RegionSetup()
    try:
        return setup_from_json(json.loads(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise RegionsError("regions", messages.MUST_BE_JSON(error=error)) from None


def canonical_text(value: Any) -> str:
    """The one text of a setup that came as a text or as parsed JSON; empty if there are no regions."""
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise RegionsError("regions", messages.MUST_BE_JSON(error=error)) from None
    return _canonical(text)


@lru_cache(maxsize=16)
def _canonical(text: str) -> str:
    setup = setup_from_text(text)
    return setup_to_text(setup) if setup.regions else ""


def setup_from_json(value: Any) -> RegionSetup:
    """The setup that parsed JSON describes: the object, or only its list of regions. Raises RegionsError."""
    value = {"regions": value} if isinstance(value, list) else value
    fields = _Fields("", value, ("version", "overlap", "regions"))
    version = fields.get("version", VERSION)
    if type(version) is not int or version != VERSION:
        raise RegionsError("version", messages.MUST_BE_VERSION(version=VERSION, value=_shown(version)))
    overlap = fields.choice("overlap", get_args(Overlap), "weight")
    regions = fields.sequence("regions", 0, MAX_REGIONS, messages.TOO_MANY_REGIONS)
    return RegionSetup(tuple(_region(f"regions[{i}]", item) for i, item in enumerate(regions)), overlap)


def _region(place: str, value: Any) -> Region:
    keys = ("name", "enabled", "shape", "prompt", "negative_prompt", "weight", "feather", "color")
    fields = _Fields(place, value, keys)
    return Region(
        shape=_shape(f"{place}.shape", fields.required("shape")),
        prompt=fields.text("prompt", MAX_PROMPT),
        negative_prompt=fields.text("negative_prompt", MAX_PROMPT),
        weight=fields.number("weight", 0, MAX_WEIGHT, 1.0),
        feather=fields.number("feather", 0, 1, 0.0),
        name=fields.text("name", MAX_NAME),
        enabled=fields.switch("enabled", True),
        color=fields.color("color"),
    )


def _shape(place: str, value: Any) -> Shape:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == "rectangle":
        return _rectangle(place, value)
    if kind == "polygon":
        return _polygon(place, value)
    if kind == "mask":
        return _mask(place, value)
    shown = _shown(value if kind is None else kind)
    raise RegionsError(place, messages.NO_SHAPE(value=shown), messages.OF)


def _rectangle(place: str, value: Mapping[str, Any]) -> Rectangle:
    fields = _Fields(place, value, ("type", "x", "y", "width", "height"))
    x, y = (fields.number(key, -COORDINATE_LIMIT, COORDINATE_LIMIT) for key in ("x", "y"))
    width, height = (fields.number(key, 0, 2 * COORDINATE_LIMIT, above=True) for key in ("width", "height"))
    return Rectangle(x, y, width, height)


def _polygon(place: str, value: Mapping[str, Any]) -> Polygon:
    fields = _Fields(place, value, ("type", "points"))
    points = fields.sequence("points", MIN_POINTS, MAX_POINTS, messages.TOO_MANY_POINTS)
    return Polygon(tuple(_point(f"{place}.points[{i}]", point) for i, point in enumerate(points)))


def _point(place: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise RegionsError(place, messages.MUST_BE_A_PAIR(value=_shown(value)))
    x, y = (_number(place, item, -COORDINATE_LIMIT, COORDINATE_LIMIT) for item in value)
    return x, y


def _mask(place: str, value: Mapping[str, Any]) -> Mask:
    png = _Fields(place, value, ("type", "png")).required("png")
    if not isinstance(png, str):
        raise RegionsError(f"{place}.png", messages.MUST_BE_BASE64_TEXT(value=_shown(png)))
    try:
        return Mask(mask_from_base64(png))
    except ValueError as error:
        raise RegionsError(f"{place}.png", error.args[0]) from None


class _Fields:
    """The keys of a JSON object, read one by one; unknown ones are refused."""

    def __init__(self, place: str, value: Any, keys: Sequence[str]) -> None:
        if not isinstance(value, Mapping):
            raise RegionsError(place or "regions", messages.MUST_BE_AN_OBJECT(value=_shown(value)))
        for key in value:
            if key not in keys:
                known = ", ".join(keys)
                raise RegionsError(place or "regions", messages.UNKNOWN_KEY(key=_shown(key), known=known), messages.OF)
        self._place, self._value = place, value

    def _at(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key

    def get(self, key: str, default: Any) -> Any:
        return self._value.get(key, default)

    def required(self, key: str) -> Any:
        if key not in self._value:
            raise RegionsError(self._at(key), messages.IS_MISSING())
        return self._value[key]

    def text(self, key: str, longest: int) -> str:
        value = self.get(key, "")
        if not isinstance(value, str):
            raise RegionsError(self._at(key), messages.MUST_BE_A_TEXT(value=_shown(value)))
        if len(value) > longest:
            raise RegionsError(self._at(key), messages.TOO_MANY_CHARACTERS(most=longest, value=len(value)))
        return value

    def switch(self, key: str, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise RegionsError(self._at(key), messages.MUST_BE_A_SWITCH(value=_shown(value)))
        return value

    def number(self, key: str, low: float, high: float, default: float | None = None, above: bool = False) -> float:
        value = self.required(key) if default is None else self.get(key, default)
        return _number(self._at(key), value, low, high, above)

    def choice(self, key: str, choices: Sequence[str], default: str) -> Any:
        value = self.get(key, default)
        if value not in choices:
            known = ", ".join(choices)
            raise RegionsError(self._at(key), messages.MUST_BE_ONE_OF(choices=known, value=_shown(value)))
        return value

    def sequence(self, key: str, fewest: int, most: int, wrong: Template) -> list[Any]:
        value = self.required(key)
        if not isinstance(value, list):
            raise RegionsError(self._at(key), messages.MUST_BE_A_LIST(value=_shown(value)))
        if not fewest <= len(value) <= most:
            raise RegionsError(self._at(key), wrong(fewest=fewest, most=most, value=len(value)))
        return value

    def color(self, key: str) -> str:
        value = self.text(key, 100)
        if not COLOR.fullmatch(value):
            raise RegionsError(self._at(key), messages.MUST_BE_A_COLOR(value=_shown(value)))
        return value


def _number(place: str, value: Any, low: float, high: float, above: bool = False) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high or (above and value == low):
        must_be = messages.MUST_BE_GREATER if above else messages.MUST_BE_BETWEEN
        raise RegionsError(place, must_be(low=low, high=high, value=_shown(value)))
    return float(value)


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return messages.AN_OBJECT() if isinstance(value, dict) else messages.A_LIST()
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = type(value).__name__
    return text if len(text) <= 80 else text[:77] + "..."


def setup_to_text(setup: RegionSetup) -> str:
    """The setup as one line of JSON, every key present and in the documented order."""
    return json.dumps(setup_to_json(setup), ensure_ascii=False, separators=(",", ":"))


def setup_to_json(setup: RegionSetup) -> dict[str, Any]:
    """The setup as JSON values; `setup_from_json` gives it back, masks rounded to 8 bits."""
    return {"version": VERSION, "overlap": setup.overlap, "regions": [_region_to_json(r) for r in setup.regions]}


def _region_to_json(region: Region) -> dict[str, Any]:
    return {
        "name": region.name,
        "enabled": region.enabled,
        "shape": _shape_to_json(region.shape),
        "prompt": region.prompt,
        "negative_prompt": region.negative_prompt,
        "weight": region.weight,
        "feather": region.feather,
        "color": region.color,
    }


def _shape_to_json(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Rectangle):
        return {"type": "rectangle", "x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height}
    if isinstance(shape, Polygon):
        return {"type": "polygon", "points": [list(point) for point in shape.points]}
    if isinstance(shape, Mask):
        return {"type": "mask", "png": mask_to_base64(shape.values)}
    raise TypeError(f"a {type(shape).__name__} has no JSON form")
