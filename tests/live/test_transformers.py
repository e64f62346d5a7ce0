"""Flux in tiles: a tile has the positions of a picture of its own, which the host's model makes from what it is given.

The model is the host's own class with tiny widths. A checkpoint of it would need text encoders of full size.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from webui import HERE, python_of


@pytest.fixture(scope="module")
def found(webui_home: Path) -> dict[str, Any]:
    if not (webui_home / "backend" / "nn" / "flux.py").is_file():
        pytest.skip("the host has no Flux of its own")
    command = [python_of(webui_home), str(HERE / "tiny_flux.py"), str(webui_home)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=webui_home)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("batch", ["one by one", "at once"])
def test_a_tile_of_flux_is_what_flux_makes_of_it_alone(found: dict[str, Any], batch: str) -> None:
    assert found[batch] < 1e-5


def test_flux_is_known_for_what_it_is(found: dict[str, Any]) -> None:
    assert (found["side"], found["is a UNet"], found["reads prompts apart"]) == (128, False, False)
