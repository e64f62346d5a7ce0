"""The README's table of hosts is the one that the results make."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from hosts_table import ORDER, README, feature_of, kept, table, with_table

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


def record_of(tests: dict[str, dict[str, int]]) -> dict[str, Any]:
    versions = dict.fromkeys(("python", "torch", "gradio", "pydantic", "transformers"), "1")
    return {"host": "A host", "commit": "abc", **versions, "tests": tests}


def test_hosts_stand_in_the_order_of_their_names_and_others_after_them() -> None:
    first = [record["host"] for record in kept()][:5]
    assert first == ["WebUI 1.10.1", "WebUI 1.9.4", "WebUI 1.8.0", "WebUI 1.7.0", "WebUI 1.6.1"]
    assert {path.stem for path in (LIVE / "results").glob("*.json")} <= set(ORDER)
    assert len(kept()) == len(list((LIVE / "results").glob("*.json")))


def test_where_it_refuses_to_work_the_table_says_so() -> None:
    refusing = record_of({"test_refusing_host::test_one": {"passed": 1}})
    working = record_of({"test_refusing_host::test_one": {"skipped": 1}, "test_api::test_one": {"passed": 1}})
    made = table([refusing, working])
    assert "| Regions | refused | not run |" in made
    assert "| API, infotext, sizes, X/Y/Z | refused | 1 |" in made


def test_a_failed_test_is_not_counted_as_passed() -> None:
    tests = {
        "test_api::test_one": {"passed": 3, "failed": 1},
        "test_dilation::test_two": {"passed": 2},
        "test_live_regions::test_three": {"skipped": 2},
    }
    made = table([record_of(tests)])
    assert "| API, infotext, sizes, X/Y/Z | 3 of 4 |" in made
    assert "| ScaleCrafter | 2 |" in made
    assert "| Regions | not run |" in made
