"""The panel's texts in other languages: complete, and nothing but the panel's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lib_instantas.texts import HOSTS_OWN, all_texts

FOLDER = Path(__file__).resolve().parents[1] / "localizations"
LANGUAGES = ("de_DE", "ja_JP", "zh_CN")
"""Names of the hosts' language packs: a host merges the files of one name from all extensions."""


@pytest.fixture(params=LANGUAGES)
def translated(request: pytest.FixtureRequest) -> dict[str, str]:
    return json.loads((FOLDER / f"{request.param}.json").read_text("utf-8"))


def test_there_are_no_other_files() -> None:
    assert sorted(file.name for file in FOLDER.iterdir()) == [f"{name}.json" for name in LANGUAGES]


def test_every_text_is_translated_and_none_is_left_over(translated: dict[str, str]) -> None:
    assert list(translated) == all_texts()
    assert not HOSTS_OWN & translated.keys()


def test_every_translation_says_something_of_its_own(translated: dict[str, str]) -> None:
    assert all(text.strip() for text in translated.values())
    assert not [text for text, other in translated.items() if text == other]
    assert len(set(translated.values())) == len(translated)


def test_names_of_choices_and_numbers_are_not_translated(translated: dict[str, str]) -> None:
    kept = (
        r"ScaleCrafter|SpotDiffusion|TwinDiffusion|Latent Swap|SaFa|Merge-Attend-Diffuse|DemoFusion|SyncDiffusion|"
        r"ElasticDiffusion|InstantAS|MultiDiffusion|FSTD|UNet|SDXL|LoRA|clamp|sway"
    )
    for text, other in translated.items():
        assert set(re.findall(kept, text)) == set(re.findall(kept, other, re.ASCII)), text
