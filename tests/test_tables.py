"""The papers' tables: every row can be made, measures know the answer of simple cases, orders are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_pipelines import sd_pipeline

from benchmarks import table_paper as paper
from benchmarks.table_layout import bar_chart, contact_sheet, markdown_table
from benchmarks.table_measures import kernel_distance, native_crops, spread
from benchmarks.table_pictures import Studio
from benchmarks.table_sections import SECTIONS, sections
from benchmarks.table_variants import ALIGNMENT, OFFSETS, PANORAMA, STRIDES, TABLE_1, TABLE_3
from lib_instantas.methods import METHODS, Request, make_method
from lib_instantas.settings import parse_settings
from small_world.scene import Scene

ROWS = {**TABLE_1, **TABLE_3, **STRIDES, **ALIGNMENT, **OFFSETS}
DISTINCT = {
    "InstantAS": TABLE_1["InstantAS"],
    "panorama": PANORAMA,
    "fixed": OFFSETS["implicit, fixed"],
    "random": OFFSETS["implicit, random"],
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    pipeline = sd_pipeline(tmp_path_factory.mktemp("tokenizer"))
    return Studio(pipeline, [Scene("sea", "day"), Scene("city", "night")], steps=2)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_row_stands_for_settings_that_can_be_used(name: str) -> None:
    settings = parse_settings(dict(ROWS[name].settings))
    assert make_method(Request((32, 128), 32, settings)).plan(1).tiles


@pytest.mark.parametrize("name", sorted(DISTINCT))
def test_pictures_are_of_the_size_asked_for_and_made_once(studio: Studio, name: str) -> None:
    made = studio.pictures(DISTINCT[name], (64, 128))
    assert [picture.size for picture in made.pictures] == [(128, 64)] * 2
    assert studio.pictures(DISTINCT[name], (64, 128)) is made
    assert made.seconds > 0


def test_fixed_offsets_are_another_picture_and_leave_the_method_as_it_was(studio: Studio) -> None:
    before = METHODS["FSTD"]
    fixed, random = (studio.pictures(DISTINCT[name], (64, 128)).pictures[0] for name in ("fixed", "random"))
    assert METHODS["FSTD"] is before
    assert fixed.tobytes() != random.tobytes()


def test_the_panorama_pipeline_asks_the_model_for_windows_of_its_own_size(studio: Studio) -> None:
    sizes = set()
    hook = studio.pipeline.unet.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.add(tuple((args[0] if args else kwargs["sample"]).shape[-2:])),
        with_kwargs=True,
    )
    Studio(studio.pipeline, [Scene("sea", "day")], steps=1).pictures(PANORAMA, (64, 128))
    hook.remove()
    assert sizes == {(8, 8)}


def test_the_kernel_distance_is_zero_on_average_for_one_law_and_large_for_two() -> None:
    generator = torch.Generator().manual_seed(0)
    same = [
        kernel_distance(torch.randn(50, 8, generator=generator), torch.randn(50, 8, generator=generator))
        for _ in range(60)
    ]
    other = kernel_distance(torch.randn(50, 8, generator=generator) + 1, torch.randn(50, 8, generator=generator))
    mean = sum(same) / len(same)
    error = torch.tensor(same).std() / 60**0.5
    assert abs(mean) < 4 * error, "unbiased"
    assert other > 20 * error


def test_spread_is_the_mean_distance_of_pairs() -> None:
    assert spread(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)


def test_crops_lie_at_every_half_of_their_side() -> None:
    pictures = torch.arange(512.0).expand(1, 3, 256, 512)
    assert [float(crop[0, 0, 0]) for crop in native_crops(pictures)] == [0, 128, 256]


def test_the_sentence_names_just_the_pairs_that_stand_the_other_way_round() -> None:
    theirs = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert paper.order_sentence({"a": 10, "b": 20, "c": 30}, theirs, "FID", "FID-W").startswith("The order by FID-W is")
    swapped = paper.order_sentence({"a": 10, "b": 40, "c": 30, "d": 1}, theirs, "FID", "FID-W")
    assert swapped == "The order differs from the paper's by FID: here, by FID-W, c before b."
    assert "nothing to compare" in paper.order_sentence({"z": 1}, theirs, "FID", "FID-W")


def test_a_table_has_a_row_per_entry_and_a_dash_for_what_is_unknown() -> None:
    table = markdown_table(["", "x"], [["a", 1.23456], ["b", None], ["c", 4829.7]])
    assert table.splitlines()[2:] == ["| a | 1.23 |", "| b | – |", "| c | 4,830 |"]


def test_charts_and_sheets_are_written(tmp_path: Path) -> None:
    bar_chart(tmp_path / "new" / "chart.png", "title", {"FID-W": {"a": 1.0, "b": 2.0}})
    contact_sheet(tmp_path / "sheet.png", {"a": Image.new("RGB", (90, 30)), "b": Image.new("RGB", (30, 30))})
    assert Image.open(tmp_path / "new" / "chart.png").width > 100
    assert Image.open(tmp_path / "sheet.png").size == (900, 300 + 900 + 2 * 22)


def test_tables_are_chosen_by_name() -> None:
    assert len(sections([])) == len(SECTIONS)
    assert sections(["fstd-4"]) == [SECTIONS["fstd-4"]]
    with pytest.raises(ValueError, match="tables must be among instantas-1"):
        sections(["table 9"])


@pytest.mark.parametrize("figures", [paper.INSTANTAS_3, paper.GVCF_1, paper.GVCF_2, paper.FSTD_4])
def test_the_papers_rows_have_a_row_of_ours_beside_them(figures: dict[str, Any]) -> None:
    assert set(figures) <= set(ROWS)
