"""CONTRIBUTING.md is true: its method makes a picture, and each way to add something is told in 40 lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contributing import example, section
from tiny_pipelines import sd_pipeline

from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.methods import METHODS, NAMES
from lib_instantas.settings import parse_settings


@pytest.fixture
def halves() -> Iterator[str]:
    exec(compile(example("Add a method"), "CONTRIBUTING.md", "exec", dont_inherit=True), {"__name__": "example"})
    yield "Halves"
    del METHODS["Halves"]
    NAMES.remove("Halves")


def test_the_method_makes_a_picture_in_its_two_tiles(halves: str, tmp_path: Path) -> None:
    job = Job("a fox", (64, 128), parse_settings({"enabled": True, "method": halves}), steps=2, sampler="DDIM")
    result = Generator(sd_pipeline(tmp_path))(job)
    assert result.image.size == (128, 64)
    assert "2 tiles of 64x64" in result.infotext


@pytest.mark.parametrize("title", ["Add a method", "Add a setting", "Add a host"])
def test_each_is_told_in_forty_lines(title: str) -> None:
    assert len(section(title).splitlines()) <= 40
