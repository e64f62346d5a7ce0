"""The README's table of hosts is the one that the results make."""

from __future__ import annotations

import ast
from pathlib import Path

from hosts_table import README, feature_of, kept, table, with_table

LIVE = Path(__file__).resolve().parent / "live"


def live_tests() -> list[str]:
    """All functions of the live tests, as "file::function"."""
    found = []
    for file in sorted(LIVE.glob("test_*.py")):
        nodes = ast.walk(ast.parse(file.read_text("utf-8")))
        functions = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
        found += [f"{file.stem}::{name}" for name in functions if name.startswith("test_")]
    return found


def test_every_live_test_belongs_to_a_row() -> None:
    assert [test for test in live_tests() if feature_of(test) is None] == []


def test_the_results_are_of_tests_that_exist() -> None:
    known = set(live_tests())
    assert {test for record in kept() for test in record["tests"]} <= known


def test_the_readme_shows_what_the_results_say() -> None:
    readme = README.read_text("utf-8")
    assert with_table(readme, table(kept())) == readme


def test_a_failed_test_is_not_counted_as_passed() -> None:
    record = {
        "host": "A host",
        "commit": "abc",
        **dict.fromkeys(("python", "torch", "gradio", "pydantic", "transformers"), "1"),
        "tests": {
            "test_api::test_one": {"passed": 3, "failed": 1},
            "test_dilation::test_two": {"passed": 2},
            "test_live_regions::test_three": {"skipped": 2},
        },
    }
    made = table([record])
    assert "| API, infotext, sizes, X/Y/Z | 3 of 4 |" in made
    assert "| ScaleCrafter | 2 |" in made
    assert "| Regions | not run |" in made
