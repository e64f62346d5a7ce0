"""Imports run one way: from the hosts and the pages down to the tiles, and never in a circle."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lib_instantas", "benchmarks", "small_world")
CORE = ("bridging", "conditioning", "denoiser", "edges", "fusion", "methods", "options", "settings", "tiling", "vae")
"""What a method, a grid, or the tiled autoencoder needs: it knows no host, no page and no command."""
ABOVE = ("hosts", "editor", "serve", "cli", "training", "texts.panel", "texts.catalogue")
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_of(file): file for package in PACKAGES for file in (ROOT / package).rglob("*.py")}


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run, in functions too, but not what only the type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from executed(node)


def imported_by(source: str) -> set[str]:
    """Names in dots: of modules, and of what is taken from them."""
    found: set[str] = set()
    for node in executed(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


IMPORTED = {module: imported_by(file.read_text(encoding="utf-8")) for module, file in FILES.items()}


def circle_in(imported: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, or none. A package does not count as its own modules' importer."""
    graph = {
        module: {name for name in names & imported.keys() if not name.startswith(f"{module}.")}
        for module, names in imported.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle_in(IMPORTED) == []


def test_a_circle_is_seen_where_the_import_is_inside_a_function() -> None:
    sources = {"a": "def f():\n    from b import g", "b": "import c", "c": "from a import f"}
    assert circle_in({module: imported_by(source) for module, source in sources.items()})
    sources["c"] = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import f"
    assert not circle_in({module: imported_by(source) for module, source in sources.items()})


@pytest.mark.parametrize("part", CORE)
def test_the_core_knows_nothing_of_what_is_built_on_it(part: str) -> None:
    modules = [module for module in FILES if re.fullmatch(rf"lib_instantas\.{part}(\..*)?", module)]
    assert modules
    above = tuple(f"lib_instantas.{name}" for name in ABOVE)
    assert [(module, name) for module in modules for name in IMPORTED[module] if name.startswith(above)] == []


def test_only_the_package_for_such_hosts_imports_their_modules() -> None:
    importers = {module for module, names in IMPORTED.items() if {"modules", "ldm", "ldm_patched"} & roots(names)}
    assert importers
    assert all(module.startswith("lib_instantas.hosts.a1111.") for module in importers)


def test_what_is_no_host_needs_torch_numpy_pillow_and_pydantic_alone() -> None:
    allowed = {*PACKAGES, "torch", "numpy", "PIL", "pydantic", *sys.stdlib_module_names}
    core = [module for module in FILES if re.match(rf"lib_instantas\.({'|'.join(CORE)})\b", module)]
    assert [(module, roots(IMPORTED[module]) - allowed) for module in core if roots(IMPORTED[module]) - allowed] == []


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


NAMED = re.compile(r"-m\s+(benchmarks\.[a-z]\w*)")
COMMANDS = sorted({name for file in DOCUMENTS for name in NAMED.findall(file.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_benchmark_that_a_document_names_can_be_run(command: str) -> None:
    spec = find_spec(command)
    assert spec is not None
    runs = FILES[f"{command}.__main__" if spec.submodule_search_locations else command]
    assert runs.read_text(encoding="utf-8").endswith('if __name__ == "__main__":\n    main()\n')
