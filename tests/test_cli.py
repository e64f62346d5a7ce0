"""The commands, as a person calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lib_instantas.cli.main import main

ROOT = Path(__file__).resolve().parents[1]


def plan(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["plan", *arguments, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def test_plan_says_what_the_paper_says_of_2048x512(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "2048x512", "--fit", "native", "--schedule", "cyclic", "--gamma", "0.015", "--edges", "ring")
    assert found["canvas"] == [64, 256]
    assert found["tiles_per_step"] == 4
    assert found["tile"] == [64, 64]
    assert found["evaluations"] == 4 * 50
    assert found["computed_ratio"] == 1.0
    assert found["period"] == 200
    assert found["offsets"][:5] == [[0, 0], [0, 1], [0, 2], [0, 3], [0, 4]]
    assert len(found["offsets"]) == 50


def test_plan_fits_tiles_to_an_odd_size(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "1209x523", "--steps", "1")
    assert (found["canvas"], found["tiles_per_step"], found["tile"]) == ([66, 152], 2, [72, 88])
    assert found["computed_ratio"] == pytest.approx(2 * 72 * 88 / 10_032)
    least = plan(capsys, "1209x523", "--steps", "1", "--fit", "fitted", "--edges", "elastic")
    assert (least["tile"], least["computed_ratio"]) == ([72, 80], pytest.approx(2 * 72 * 80 / 10_032))
    assert plan(capsys, "1209x523", "--steps", "1", "--fit", "native")["tiles_per_step"] == 6


def test_plan_draws_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.png"
    assert main(["plan", "2048x1024", "--png", str(file)]) == 0
    with Image.open(file) as picture:
        colours = {colour for _, colour in picture.getcolors(maxcolors=1 << 24)}
    assert len(colours) >= 8, "six tile colours, lines and paper"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "2048"], "size must be WIDTHxHEIGHT"),
        (["plan", "99999x512"], "size must be between 64 and 32768"),
        (["plan", "1024x512", "--gamma", "2"], "gamma must be between 0 and 1, got 2.0"),
        (["plan", "1024x512", "--steps", "0"], "steps must be between 1 and 10000, got 0"),
        (["plan", "1024x512", "--native", "500"], "native must be a multiple of 64 pixels, got 500"),
        (["generate", "a house", "--model", "/nowhere/model.safetensors"], "model must be a checkpoint file"),
        (["generate", "a house", "--steps", "0"], "steps must be at least 1, got 0"),
    ],
)
def test_a_bad_argument_is_named_on_stderr(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("InstantAS: ")
    assert message in captured.err
    assert captured.out == ""


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lib_instantas", "plan", "1024x512", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["tiles_per_step"] == 2
