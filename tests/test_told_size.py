"""What SDXL is told about each tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import sdxl_pipeline

from lib_instantas.denoiser import ModelCall
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.infotext import DEFAULTS
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import option, parse_settings
from lib_instantas.told_size import CHOICES, ToldSize

CANVAS = 24, 40
RESTING = {"fit": "native", "schedule": "cyclic", "gamma": 0, "edges": "elastic"}


def call(method: str = "InstantAS", **settings: Any) -> ModelCall:
    values = parse_settings({"method": method, **RESTING, **settings})
    plan = make_method(Request(CANVAS, 16, values)).plan(0)
    return ModelCall(plan, plan.tiles, rows=2)


def vector(rows: int, width: int) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def sines(number: int) -> torch.Tensor:
    """One number as 256 cosines and sines, each computed by itself in double precision."""
    angles = torch.tensor([number / 10_000 ** (i / 128) for i in range(128)], dtype=torch.float64)
    return torch.cat([angles.cos(), angles.sin()])


def test_the_choices_are_those_of_the_setting() -> None:
    assert option("told_size").field_info.extra["choices"] == CHOICES


def test_every_tile_of_a_batch_is_told_its_own_crop() -> None:
    asked = call()
    given = {"cond": {"vector": vector(2 * len(asked.tiles), 2816), "crossattn": torch.ones(12, 7, 3)}}
    told = ToldSize("crop")(asked, given)["cond"]
    corners = [(0, 0), (0, 128), (0, 192), (64, 0), (64, 128), (64, 192)]
    for tile, (top, left) in enumerate(corners):
        expected = torch.cat([sines(number) for number in (192, 320, top, left, 128, 128)])
        for row in (2 * tile, 2 * tile + 1):
            torch.testing.assert_close(told["vector"][row, 1280:], expected, atol=1e-4, rtol=0)
    assert torch.equal(told["vector"][:, :1280], given["cond"]["vector"][:, :1280])
    assert told["crossattn"] is given["cond"]["crossattn"]


def test_a_tile_as_a_picture_keeps_the_hosts_crop() -> None:
    asked = call()
    given = vector(2 * len(asked.tiles), 2816)
    told = ToldSize("tile")(asked, {"y": given})["y"]
    size = torch.cat([sines(128), sines(128)]).expand(len(told), -1)
    torch.testing.assert_close(told[:, 1280:1792], size, atol=1e-4, rtol=0)
    torch.testing.assert_close(told[:, 2304:], size, atol=1e-4, rtol=0)
    assert torch.equal(told[:, 1792:2304], given[:, 1792:2304])


def test_a_refiners_score_stays() -> None:
    asked = call()
    given = vector(2 * len(asked.tiles), 2560)
    told = ToldSize("tile")(asked, {"y": given})["y"]
    assert torch.equal(told[:, 1792:], given[:, 1792:]), "its crop and its score"
    assert not torch.equal(told[:, 1280:1792], given[:, 1280:1792])


@pytest.mark.parametrize(("method", "choice"), [("direct", "tile"), ("direct", "crop"), ("InstantAS", "canvas")])
def test_a_whole_canvas_is_told_what_the_host_says(method: str, choice: str) -> None:
    asked = call(method)
    given = {"vector": vector(2 * len(asked.tiles), 2816)}
    assert ToldSize(choice)(asked, given) is given


@pytest.mark.parametrize("given", [{"y": vector(12, 1280)}, {"vector": vector(12, 768)}, {"other": vector(12, 2816)}])
def test_other_vectors_stay(given: dict[str, torch.Tensor]) -> None:
    told = ToldSize("crop")(call(), given)
    assert all(told[name] is value for name, value in given.items())


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("tile", {(64, 64, 0, 0, 64, 64)}),
        ("crop", {(64, 192, 0, left, 64, 64) for left in (0, 64, 128)}),
        ("canvas", {(64, 192, 0, 0, 64, 192)}),
    ],
)
def test_a_diffusers_pipeline_tells_it(choice: str, expected: set[tuple[int, ...]], tmp_path: Path) -> None:
    generator = Generator(sdxl_pipeline(tmp_path))
    seen: set[tuple[int, ...]] = set()
    plain = generator.pipeline.unet.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.update(tuple(int(number) for number in row) for row in kwargs["added_cond_kwargs"]["time_ids"])
        return plain(*args, **kwargs)

    generator.pipeline.unet.forward = watched
    settings = parse_settings({"enabled": True, "tile": 64, "told_size": choice, **RESTING})
    generator(Job("a fox", (64, 192), settings, seed=3, steps=2))
    assert seen == expected


@pytest.mark.parametrize("version", [1, 2, 3])
def test_pictures_from_before_the_setting_are_made_as_they_were(version: int) -> None:
    assert DEFAULTS[version]["told_size"] == "canvas"
