"""The editor's model in Node, without a browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).with_name("store.test.mjs")

OLDEST_NODE = 18
"""The first that has a test runner."""


def version_of(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    return int(said.removeprefix("v").split(".")[0])


def test_the_drawing_its_history_and_its_storage() -> None:
    node = shutil.which("node")
    if node is None or version_of(node) < OLDEST_NODE:
        pytest.skip(f"the tests of the editor's model need Node {OLDEST_NODE} or newer: apt-get install nodejs")
    done = subprocess.run([node, "--test", str(TESTS)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
