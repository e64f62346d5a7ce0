"""What the documents say is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lib_instantas.cli.settings import presets_table, settings_table

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def links(document: Path) -> set[Path]:
    """The files of the project that a document links to."""
    found = LINK.findall(document.read_text(encoding="utf-8"))
    return {(document.parent / link).resolve() for link in found if "://" not in link}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_of_a_document_leads_to_a_file(document: Path) -> None:
    assert [link for link in links(document) if not link.exists()] == []


def test_the_page_of_the_papers_tables_leads_to_every_table() -> None:
    tables = set((ROOT / "docs" / "tables").glob("*.md"))
    assert tables
    assert tables <= links(ROOT / "docs" / "benchmarks.md")


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
