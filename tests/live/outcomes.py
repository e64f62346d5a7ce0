"""What the live tests showed on a host, kept as a file: one for each host, named by LIVE_RESULTS.

`LIVE_RESULTS=FILE.json` takes them down while tests run; runs of single files add up. `WEBUI_NAME` is what the host is
called in the table of the README (without it: its folder's name).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from webui import HERE, home, python_of

VERSIONS = """
import json, platform
from importlib.metadata import version
versions = {name: version(name) for name in ("torch", "gradio", "pydantic", "transformers")}
print(json.dumps({"python": platform.python_version(), **versions}))
"""

Tests = dict[str, dict[str, int]]
"""By "file::function", how many of its cases came out how: "passed", "lacking" (see deviations.py), "skipped" or
"failed"."""


class Outcomes:
    """A plugin of pytest that counts outcomes and writes them at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a case once: by its call, or by the set-up or clean-up that kept it from passing."""
        file, _, rest = report.nodeid.partition("::")
        if Path(file).parent.name != HERE.name or (report.when != "call" and report.passed):
            return
        if report.when == "teardown" and not report.failed:
            return
        name = f"{Path(file).stem}::{rest.partition('[')[0]}"
        self.seen.setdefault(name, Counter())[outcome(report)] += 1

    def pytest_sessionfinish(self) -> None:
        """Write what was seen over what the file held of the same tests."""
        if not self.seen:
            return
        before: Tests = json.loads(self.path.read_text("utf-8"))["tests"] if self.path.exists() else {}
        tests = {**before, **{name: dict(sorted(counts.items())) for name, counts in self.seen.items()}}
        record = {"host": os.environ.get("WEBUI_NAME", home().name), **facts(), "tests": dict(sorted(tests.items()))}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def outcome(report: pytest.TestReport) -> str:
    """What became of a case, in the words of the table."""
    if report.skipped:
        return "lacking" if hasattr(report, "wasxfail") else "skipped"
    return str(report.outcome)


def facts() -> dict[str, Any]:
    """The host's commit and the versions that it runs on."""
    commit = subprocess.run(["git", "-C", str(home()), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    versions = subprocess.run([python_of(home()), "-c", VERSIONS], capture_output=True, text=True, check=True)
    return {"commit": commit.stdout.strip() or "unknown", **json.loads(versions.stdout)}
