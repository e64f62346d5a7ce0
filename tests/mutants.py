"""How many of the core's wrong versions the tests notice: `make mutants`, or python tests/mutants.py [MODULE ...].

A mutant is a module with one thing changed by an operator of Cosmic Ray: a number, a comparison, a sign, a condition, a
decorator; or with one call or one assignment to an attribute or item left out. A mutant is killed if one of the tests
that cover its module fails on it or runs five times as long as it should. Each one runs in a fork of a process that has
imported PyTorch already. Results are kept in .mutants/ by what was changed, so that a run goes on where the last one
stopped; --again asks about the survivors once more.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".mutants"

COVERED_BY = {
    "tiling": ("tiling", "bridging", "tile_shapes"),
    "bridging": ("bridging", "tile_shapes"),
    "fusion": ("fusion", "tiling"),
    "conditioning": ("conditioning",),
    "attention": ("attention", "attention_layers", "attention_binding", "attention_adapters"),
    "attention_layers": ("attention_layers", "attention_binding", "attention"),
    "denoiser": ("denoiser", "denoiser_batches", "methods"),
}
"""The tests that each module's mutants run against, the likeliest to notice first."""

SAMPLE, SEED = 120, 17
"""At most so many mutants of a module, drawn with this seed."""

EXAMPLES = 30
"""Examples a property is tried on, fewer than in the tests themselves, so that a mutant that lives takes seconds."""

PRELOADED = (
    *("torch", "torch._dynamo", "torch.testing", "PIL.Image", "pydantic", "pytest", "hypothesis"),
    *("playwright.sync_api", "scipy.stats", "transformers", "peft", "diffusers.models.unets.unet_2d_condition"),
)
"""What the tests import that is not this project's; it is imported once, not once a mutant."""

UNLIKELY = (
    "_LShift",
    "_RShift",
    "_BitOr",
    "_BitAnd",
    "_BitXor",
    "_Is",
    "_IsNot",
    "_Pow",
    "_Invert",
    "VariableInserter",
)
"""What operators put in that nobody writes by mistake; they fail at once, and would only make the share look better."""


class LeaveOut(Operator):
    """A call whose answer nobody takes, or an assignment to an attribute or item, left out."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Where such a statement stands."""
        if node.parent is not None and node.parent.type == "simple_stmt" and _has_an_effect(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """`pass` in its place."""
        left = parso.parse("pass").children[0]
        left.prefix = node.get_first_leaf().prefix
        return left

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Before and after."""
        return (Example("seen.append(1)", "pass"),)


def _has_an_effect(node: Any) -> bool:
    if node.type == "expr_stmt":
        return node.children[0].type in ("atom_expr", "power")
    return node.type in ("atom_expr", "power")


@dataclass(frozen=True)
class Mutant:
    """A module's source with one change, and what that is."""

    source: str
    line: int
    change: str


def mutants(module: str) -> list[Mutant]:
    """Mutants of a module, a sample where there are many, in the order drawn: the first of them are a sample too."""
    source = path_of(module).read_text()
    places = [
        (operator, occurrence, start)
        for operator in _operators()
        for occurrence, start in enumerate(_positions(source, operator))
        if not _is_checked_otherwise(source, start)
    ]
    made: dict[str, Mutant] = {}
    for operator, occurrence, start in places:
        mutated = mutate_code(source, operator, occurrence)
        if mutated and mutated != source and _can_be_written(mutated):
            made.setdefault(mutated, Mutant(mutated, start[0], _change(source, mutated)))
    return random.Random(SEED).sample(list(made.values()), min(SAMPLE, len(made)))


def _can_be_written(source: str) -> bool:
    """Whether it is Python; a bare * in a signature is no multiplication, and would become what is no division."""
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return "    /,\n" not in source


def _operators() -> list[Operator]:
    names = (name for name in operator_names() if not name.endswith(UNLIKELY))
    operators = (get_operator(name) for name in sorted(names))
    return [*(operator() for operator in operators if not operator.arguments()), LeaveOut()]


def _positions(source: str, operator: Operator) -> list[tuple[int, int]]:
    return [start for node in ast_nodes(get_ast(source)) for start, _ in operator.mutation_positions(node)]


def _is_checked_otherwise(source: str, start: tuple[int, int]) -> bool:
    """Whether a place lies in an annotation, which mypy checks, or in the `strict` of a zip, which checks the code."""
    return any(first <= start < last for first, last in _spans_checked_otherwise(source))


def _spans_checked_otherwise(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    checked: list[Any] = []
    for node in ast.walk(ast.parse(source)):
        checked += [getattr(node, "annotation", None), getattr(node, "returns", None)]
        checked += [node.value] if isinstance(node, ast.keyword) and node.arg == "strict" else []
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and node.targets[0].id[0].isupper():
            checked.append(node.value)  # the name of a type
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in checked if n is not None]


def _change(source: str, mutated: str) -> str:
    lines = difflib.unified_diff(source.splitlines(), mutated.splitlines(), n=1, lineterm="")
    return "\n".join(line[0] + " " + line[1:].strip() for line in list(lines)[3:])


def path_of(module: str) -> Path:
    """The file of a module of lib_instantas."""
    return ROOT / "lib_instantas" / f"{module}.py"


class Replacing(MetaPathFinder):
    """Gives one module a source of its own."""

    def __init__(self, module: str, source: str) -> None:
        self.name, self.path, self.source = f"lib_instantas.{module}", str(path_of(module)), source

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The module with that source; None for any other."""
        return spec_from_file_location(name, self.path, loader=self._Loader(self)) if name == self.name else None

    class _Loader(SourceFileLoader):
        def __init__(self, given: Replacing) -> None:
            super().__init__(given.name, given.path)
            self.given = given

        def get_code(self, name: str) -> CodeType:
            return compile(self.given.source, self.path, "exec", dont_inherit=True)


def failed(module: str, source: str, limit: float) -> bool:
    """Whether the tests fail, or take longer than `limit` seconds, where a module reads so."""
    child = os.fork()
    if not child:
        _test(module, source)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _test(module: str, source: str) -> None:
    """Ends the process; its status is 0 if all tests pass."""
    import pytest
    from hypothesis import Phase, settings

    os.setsid()
    with tempfile.TemporaryFile() as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        settings.register_profile(
            "mutants",
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            max_examples=EXAMPLES,
        )
        sys.meta_path.insert(0, Replacing(module, source))
        tests = [str(ROOT / "tests" / f"test_{name}.py") for name in COVERED_BY[module]]
        status = 1
        try:
            status = pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"])
        finally:
            os._exit(int(status))


def run(module: str, again: bool, stop: float) -> None:
    """Ask about each of a module's mutants that is not known yet; `stop` is when, by the clock, it is enough."""
    kept = KEPT / f"{module}.json"
    known: dict[str, bool] = json.loads(kept.read_text()) if kept.exists() else {}
    begin = time.monotonic()
    if failed(module, path_of(module).read_text(), 600):
        raise SystemExit(f"The tests of {module} fail on the module as it is.")
    limit = 5 * (time.monotonic() - begin) + 10
    chosen = mutants(module)
    for mutant in chosen:
        if mutant.change not in known or (again and not known[mutant.change]):
            if time.monotonic() > stop:
                break
            known[mutant.change] = failed(module, mutant.source, limit)
            kept.write_text(json.dumps(known, indent=1))
    report(module, [mutant for mutant in chosen if mutant.change in known], known)


def report(module: str, asked: list[Mutant], known: dict[str, bool]) -> None:
    """Print the share that was killed, and each survivor."""
    survivors = sorted((mutant for mutant in asked if not known[mutant.change]), key=lambda mutant: mutant.line)
    killed = len(asked) - len(survivors)
    print(f"{module}: {killed} of {len(asked)} killed, {killed / max(1, len(asked)):.0%}")
    for mutant in survivors:
        print(f"  line {mutant.line}\n    " + mutant.change.replace("\n", "\n    "))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(COVERED_BY), metavar="MODULE")
    parser.add_argument("--again", action="store_true", help="ask about survivors once more")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; the next run goes on")
    chosen = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    KEPT.mkdir(exist_ok=True)
    for name in PRELOADED:
        importlib.import_module(name)
    stop = time.monotonic() + 60 * chosen.minutes
    for module in chosen.modules:
        run(module, chosen.again, stop)


if __name__ == "__main__":
    main()
