"""What the documents say is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lib_instantas.cli.settings import presets_table, settings_table

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_settings_is_the_declared_one() -> None:
    assert settings_table() in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_table_of_presets_is_the_declared_one() -> None:
    assert presets_table() in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def walk(title: str) -> str:
    """The drawing of a section of docs/design.md: its lines that are indented."""
    document = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"^## {title}\n(.*?)^## ", document, re.DOTALL | re.MULTILINE)
    return "\n".join(line for line in text.splitlines() if line.startswith("    "))


@pytest.mark.parametrize(("title", "folder"), [("One canvas", ""), ("One region", ""), ("One decode", "vae")])
def test_each_name_in_a_walk_through_the_code_is_in_the_file_beside_it(title: str, folder: str) -> None:
    steps = re.findall(r"([A-Za-z_.]+)(?:\(.*?\))? +(?:\w+/, )?(\w+\.py)", walk(title))
    assert len(steps) >= 7
    for name, file in steps:
        (source,) = (ROOT / "lib_instantas" / folder).glob(file)
        text = source.read_text(encoding="utf-8")
        assert all(re.search(rf"\b{part}\b", text) for part in name.split(".")), (name, file)
