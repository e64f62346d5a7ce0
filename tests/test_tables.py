"""The papers' tables: every row can be made, measures know the answer of simple cases, orders are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pipelines import sd_pipeline

from benchmarks.images import drawn, together
from benchmarks.tables import paper
from benchmarks.tables.bench import Bench
from benchmarks.tables.layout import bar_chart, contact_sheet, markdown_table
from benchmarks.tables.measures import (
    Difference,
    Judged,
    Quality,
    compare,
    compare_seams,
    critics_of_small_world,
    kernel_distance,
    native_crops,
    spread,
    steps_of,
)
from benchmarks.tables.pictures import OWN_PICTURES, Easel, PictureSet, PictureSets
from benchmarks.tables.scalecrafter import whole_pictures
from benchmarks.tables.sections import SECTIONS, sections
from benchmarks.tables.subjects import Subjects, small_world
from benchmarks.tables.variants import ALIGNMENT, DIRECT, FIELD, OFFSETS, PANORAMA, STRIDES, TABLE_1, TABLE_3
from lib_instantas.methods import METHODS, Request, make_method
from lib_instantas.settings import parse_settings
from small_world import CHECKPOINT
from small_world.judge import load_judge

ROWS = {**TABLE_1, **TABLE_3, **STRIDES, **ALIGNMENT, **OFFSETS, **FIELD}
DISTINCT = {
    "InstantAS": TABLE_1["InstantAS"],
    "panorama": PANORAMA,
    "fixed": OFFSETS["implicit, fixed"],
    "random": OFFSETS["implicit, random"],
}


SUBJECTS = Subjects(("the sea by day", "a city at night"))
ONE = Subjects(SUBJECTS.prompts[:1])
SHAPE = (1, 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    sd_pipeline(tmp_path_factory.mktemp("tokenizer")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sets(model: Path) -> PictureSets:
    return PictureSets(Easel(model), SUBJECTS, steps=2)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_row_stands_for_settings_that_its_method_reads(name: str) -> None:
    given = dict(ROWS[name].settings)
    settings = parse_settings(given)
    assert make_method(Request((32, 128), 32, settings)).plan(0).uncovered == 0
    assert given.keys() - METHODS[settings.method].settings <= {"method", "style_alignment", "style_reference"}


@pytest.mark.parametrize("name", sorted(DISTINCT))
def test_pictures_are_of_the_size_asked_for_and_made_once(sets: PictureSets, name: str) -> None:
    made = sets.pictures(DISTINCT[name], SHAPE)
    assert [picture.size for picture in made.pictures] == [(128, 64)] * 2
    assert sets.pictures(DISTINCT[name], SHAPE) is made


def test_fixed_offsets_are_another_picture_and_leave_the_method_as_it_was(sets: PictureSets) -> None:
    before = METHODS["FSTD"]
    fixed, random = (sets.pictures(DISTINCT[name], SHAPE).pictures[0] for name in ("fixed", "random"))
    assert METHODS["FSTD"] is before
    assert fixed.tobytes() != random.tobytes()


def test_the_panorama_pipeline_asks_the_model_for_windows_of_its_own_size(sets: PictureSets) -> None:
    sizes = set()
    hook = sets.easel.pipeline.unet.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.add(tuple((args[0] if args else kwargs["sample"]).shape[-2:])),
        with_kwargs=True,
    )
    PictureSets(sets.easel, ONE, steps=1).pictures(PANORAMA, SHAPE)
    hook.remove()
    assert sizes == {(8, 8)}


def test_own_pictures_are_of_the_models_size_and_begin_with_noise_of_their_own(sets: PictureSets) -> None:
    own = sets.own()
    assert [picture.size for picture in own] == [(64, 64)] * len(SUBJECTS) * OWN_PICTURES
    assert len({picture.tobytes() for picture in own}) == len(own)


def test_a_run_that_was_cut_short_goes_on_from_what_it_kept(model: Path, tmp_path: Path) -> None:
    first = PictureSets(Easel(model, folder=tmp_path), ONE, steps=2).pictures(DIRECT, SHAPE)
    kept = list(tmp_path.rglob("*.png"))
    written = [file.stat().st_mtime_ns for file in kept]
    again = PictureSets(Easel(model, folder=tmp_path), SUBJECTS, steps=2).pictures(DIRECT, SHAPE)
    assert [file.stat().st_mtime_ns for file in kept] == written
    assert again.pictures[0].tobytes() == first.pictures[0].tobytes()
    assert len(again.pictures) == 2


@pytest.mark.slow
def test_workers_paint_what_one_paints(sets: PictureSets, model: Path) -> None:
    together = PictureSets(Easel(model, workers=2), SUBJECTS, steps=2).pictures(DIRECT, SHAPE).pictures
    alone = sets.pictures(DIRECT, SHAPE).pictures
    # Workers have one thread each, so sums of bfloat16 are rounded in another order.
    assert all(_apart(*pair) < 2 for pair in zip(together, alone, strict=True))
    assert _apart(together[0], together[1]) > 4


def _apart(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, dtype=float) - np.asarray(second, dtype=float)).mean())


def test_two_sets_are_told_apart_by_what_differs_in_every_scene_and_not_by_what_scenes_have_in_common() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = 10 * torch.randn(12, 1, 4, generator=generator)
    own, near = (scene + torch.randn(12, 6, 4, generator=generator) for _ in range(2))
    close, same, far = (near + by for by in (0.0, 1e-6 * torch.randn(4, generator=generator), 1.0))
    assert compare(far, close, own).told
    assert compare(far, close, own).value > 0
    assert abs(compare(same, close, own).value) < 1e-3


def test_a_difference_is_said_to_be_one_or_else_how_small_it_is() -> None:
    assert Difference(-3.0, 2.0).verdict == "lower, -3 ± 2"
    assert Difference(3.0, 2.0).verdict == "higher, +3 ± 2"
    assert Difference(1.0, 2.5).verdict == "not told apart, the difference lies between -1.5 and +3.5"


def test_seams_are_compared_over_the_same_pictures() -> None:
    """Pictures differ far more among each other than a seam does; both sets have the same ones."""
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(12, 3, 64, 256, generator=generator) * torch.logspace(-2, 0, 12)[:, None, None, None]
    edge = plain.std((1, 2, 3), keepdim=True) * (torch.arange(256) >= 128)
    alone, again, joined = (
        Judged(Quality(0, 0, 1), torch.zeros(12, 1, 1), steps_of(pictures, 64), 64)
        for pictures in (plain, plain.clone(), plain + 3 * edge)
    )
    assert compare_seams(joined, alone).told
    assert compare_seams(joined, alone).value > 0
    assert compare_seams(again, alone) == Difference(0, 0)


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


def test_a_picture_of_four_times_the_area_is_counted_for_its_horizons_as_it_is() -> None:
    subjects = small_world(2, things=True)
    one = drawn(subjects.scenes, (512, 512))
    two = torch.cat([torch.nn.functional.avg_pool2d(one, (2, 1))] * 2, 2)
    bench = Bench(PictureSets(Easel(CHECKPOINT), subjects, 1), critics_of_small_world(load_judge()), small_world)
    bench.own = torch.randn(2, 8, 48, generator=torch.Generator().manual_seed(0))
    shown = {"one": one, "two": two}
    sets = {name: PictureSet(tuple(together([one[None]]) for one in pictures), 1.0) for name, pictures in shown.items()}
    figures, _ = whole_pictures(bench, sets)
    assert figures["one"]["horizons"] == 1
    assert figures["two"]["horizons"] == 2


def test_spread_is_the_mean_distance_of_pairs() -> None:
    assert spread(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)


def test_crops_lie_at_every_half_of_their_side() -> None:
    pictures = torch.arange(512.0).expand(1, 3, 256, 512)
    assert [float(crop[0, 0, 0]) for crop in native_crops(pictures, 256)] == [0, 128, 256]


def test_the_sentence_names_just_the_pairs_that_are_told_apart_and_stand_the_other_way_round() -> None:
    def sentence(*differences: float) -> str:
        pairs = (("a", "b"), ("a", "c"), ("b", "c"), ("a", "unknown"))
        ours = {pair: Difference(value, 1.0) for pair, value in zip(pairs, differences, strict=False)}
        return paper.order_sentence(ours, {"a": 1.0, "b": 2.0, "c": 3.0}, "FID", "FID-W")

    counted = "Of 3 pairs that the paper ranks by FID, FID-W tells"
    assert sentence(-10, -20, -10, 5) == f"{counted} 3 apart, all in the paper's order."
    assert (
        sentence(-10, 0.5, 10)
        == f"{counted} 2 apart, 1 in the paper's order; the other way round: c before b (10 ± 1)."
    )
    assert sentence(0.1, 0.2, 0.3) == f"{counted} 0 apart."
    assert "nothing to compare" in paper.order_sentence({("y", "z"): Difference(1, 0)}, {"a": 1.0}, "FID", "FID-W")


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
