"""What the documents say is what the program does."""

from __future__ import annotations

from pathlib import Path

from lib_instantas.cli.settings import presets_table, settings_table

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_settings_is_the_declared_one() -> None:
    assert settings_table() in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_table_of_presets_is_the_declared_one() -> None:
    assert presets_table() in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
