"""Wildcards in regions' prompts, beside an extension that reads those of the main prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Client, RefusedError, difference
from infotexts import recorded
from webui import EXTENSION, HERE, PROBE, WebUI, running

LEFT = {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}
WEIRD = {"prompt": "a {quiet|loud} town", "steps": 4, "cfg_scale": 7}


@pytest.fixture(scope="module")
def wild(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    extensions = {"instantas": EXTENSION, "probe": PROBE, "wildcards": HERE / "wildcards_extension"}
    with running(WebUI(tmp_path_factory.mktemp("wild"), extensions, models)) as webui:
        yield webui.client


def regions(prompt: str) -> dict[str, Any]:
    return {"enabled": True, "regions": [{"shape": LEFT, "prompt": prompt, "negative_prompt": "{mud|snow}"}]}


@pytest.mark.parametrize("batch", [{"batch_size": 2}, {"n_iter": 2}])
def test_each_picture_is_the_one_with_its_own_choice(wild: Client, batch: dict[str, int]) -> None:
    both = wild.txt2img(regions("a {red|blue} dragon, {teeth|teeth and very many other things}"), **WEIRD, **batch)
    pictures, texts = both.images[-2:], both.info["infotexts"][-2:]
    assert [text.partition("\n")[0] for text in texts] == ["a quiet town", "a loud town"]
    for i, (town, negative, dragon) in enumerate(
        [("quiet", "mud", "a red dragon, teeth"), ("loud", "snow", "a blue dragon, teeth and very many other things")]
    ):
        region = {"shape": LEFT, "prompt": dragon, "negative_prompt": negative}
        plain = {"enabled": True, "regions": [region]}
        alone = wild.txt2img(plain, **{**WEIRD, "prompt": f"a {town} town"}, seed=5 + i)
        assert difference(pictures[i], alone.images[0]) < 0.1
        said = recorded(texts[i])["settings"]["regions"]["regions"][0]
        assert (said["prompt"], said["negative_prompt"]) == (dragon, negative)
        assert "\ue0a5" not in json.dumps(both.info, ensure_ascii=False)


def test_the_choice_makes_a_difference(wild: Client) -> None:
    one, other = (wild.txt2img(regions(text), **WEIRD) for text in ("a {red|blue} dragon", "a {blue|red} dragon"))
    assert difference(one.images[0], other.images[0]) > 0.1


def test_the_hires_pass_has_the_same_choice(wild: Client) -> None:
    hires = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.5, "hr_upscaler": "Nearest"}
    chosen = wild.txt2img(regions("a {red|blue} dragon"), **WEIRD, **hires)
    region = {"shape": LEFT, "prompt": "a red dragon", "negative_prompt": "mud"}
    alone = wild.txt2img({"enabled": True, "regions": [region]}, **{**WEIRD, "prompt": "a quiet town"}, **hires)
    assert difference(chosen.images[0], alone.images[0]) < 0.3


def test_what_a_region_cannot_say_is_refused_when_it_is_chosen(wild: Client) -> None:
    with pytest.raises(RefusedError, match=r"put <lora:\.\.\.> in the main prompt"):
        wild.txt2img(regions("{<lora:a:1>|b}"), **WEIRD)
    after = wild.txt2img(regions("a red dragon"), **WEIRD)
    assert after.infotext.startswith("a quiet town\n")
