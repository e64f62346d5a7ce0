"""`benchmarks.card`, as far as it can be seen without a card."""

from __future__ import annotations

import json
import math
import sys

import pytest
import torch
from tiny_pipelines import vae

from benchmarks import card
from benchmarks.unet import UNETS, tiny, unet
from benchmarks.whole_pictures import WholePicture


def test_a_quick_run_has_every_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["card", "--quick", "--device", "cpu", "--json"])
    card.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures.pop("device") == "cpu"
    assert list(figures) == list(UNETS)
    for model, sizes in figures.items():
        for rows in sizes.values():
            assert list(rows) == [*card.ROWS, *([card.PANORAMA] if model != "SDXL" else [])]
            assert all(row["decoding"] > 0 and math.isfinite(row["seconds"]) for row in rows.values())
            assert rows["direct"]["to_direct"] == 1
            assert rows["MultiDiffusion"]["tiles"] > rows["InstantAS"]["tiles"]
            assert rows["InstantAS as in the paper"]["paper"] < rows["direct"]["paper"]


def test_evaluations_of_many_tiles_are_counted_from_one_batch() -> None:
    model = unet(tiny(UNETS["SD 2.0"]))
    picture = WholePicture(model, vae(), {"method": "MultiDiffusion", "overlap": 0.875}, (32, 32), 4)
    with torch.inference_mode():
        one, many = (card.seconds_of_batches(picture, tiles) for tiles in (1, 1_000_000))
    assert many > 1000 * one


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
@pytest.mark.parametrize(("device", "words"), [("cuda", "there is no card here"), ("cpu", "this takes days")])
def test_without_a_card_it_says_so(monkeypatch: pytest.MonkeyPatch, device: str, words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["card", "--device", device])
    with pytest.raises(SystemExit, match=words):
        card.main()
