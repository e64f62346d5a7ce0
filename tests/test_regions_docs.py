"""The example in the document about regions is one that the program takes."""

import re
from pathlib import Path

from lib_instantas.regions_json import (
    MAX_POINTS,
    MAX_REGIONS,
    MAX_WEIGHT,
    setup_from_text,
    setup_to_json,
)

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "regions.md").read_text(encoding="utf-8")


def test_the_example_is_read_and_every_key_is_described():
    example = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)
    setup = setup_from_text(example[1])
    assert [region.prompt for region in setup.active] == ["a harbour at sunset", "snow by day"]
    described = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", TEXT, re.MULTILINE))))
    as_json = setup_to_json(setup)
    assert described == {"overlap", *as_json["regions"][0]}


def test_the_limits_are_the_programs():
    assert f"At most {MAX_REGIONS} regions" in TEXT
    assert f"`points`, 3 to {MAX_POINTS}" in TEXT
    assert f"0 to {MAX_WEIGHT:g}; below 1" in TEXT
