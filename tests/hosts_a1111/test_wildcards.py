"""Wildcards in regions' prompts: on their way through other extensions, and back for each picture."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from lib_instantas.hosts.a1111.wildcards import LOST, MARK, TravellingPrompts, travelling_prompts
from lib_instantas.settings import Settings, SettingsError, parse_settings

BOX = {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}


def settings(*prompts: str, **more: Any) -> Settings:
    regions = [{"shape": BOX, "prompt": prompt, **more} for prompt in prompts]
    off = {"shape": BOX, "prompt": "{never|read}", "enabled": False}
    return parse_settings({"enabled": True, "regions": [off, *regions]})


def asked(pictures: int = 2, **fields: Any) -> Any:
    values = {"prompt": "a town", "negative_prompt": "blur", "extra_generation_params": {}, "batch_size": 2}
    return SimpleNamespace(**{**values, "iteration": 0, "pictures": pictures, **fields})


def multiplied(p: Any) -> Any:
    """What the host does before the scripts' `process`."""
    p.main_prompt = p.prompt
    p.all_prompts, p.all_negative_prompts = [p.prompt] * p.pictures, [p.negative_prompt] * p.pictures
    p.all_hr_prompts = p.all_prompts
    return p


def expanded(p: Any) -> Any:
    """What a wildcard extension does: another choice for each picture, and its template in the metadata."""
    p.extra_generation_params["Template"] = p.prompt

    def choose(text: str, picture: int) -> str:
        return re.sub(r"\{([^}]*)\}", lambda found: found[1].split("|")[picture % 2], text)

    p.all_prompts = [choose(text, i) for i, text in enumerate(p.all_prompts)]
    p.all_negative_prompts = [choose(text, i) for i, text in enumerate(p.all_negative_prompts)]
    return p


def sent(given: Settings, p: Any) -> TravellingPrompts:
    travelling = travelling_prompts(given)
    assert travelling is not None
    travelling.depart(p)
    return travelling


def prompts(given: Settings) -> list[str]:
    return [region.prompt for region in given.region_setup.regions]


def test_each_picture_has_its_own_choice_and_the_host_its_own_prompts() -> None:
    p = asked()
    travelling = sent(settings("a {red|blue} fox", "{a cat|a dog}", negative_prompt="{mud|snow}"), p)
    expanded(multiplied(p))
    p.all_prompts[0] = f"best, {p.all_prompts[0]}, best"
    travelling.arrive(p)
    first, second = travelling.pictures
    assert prompts(first) == ["{never|read}", "a red fox", "a cat"]
    assert prompts(second) == ["{never|read}", "a blue fox", "a dog"]
    assert second.region_setup.regions[1].negative_prompt == "snow"
    assert p.all_prompts == ["best, a town, best", "a town"]
    assert (p.prompt, p.negative_prompt, p.main_prompt) == ("a town", "blur", "a town")
    assert p.all_hr_prompts == ["a town", "a town"]
    assert p.extra_generation_params == {"Template": "a town"}
    assert not travelling.remark


def test_a_batch_knows_its_pictures_regions() -> None:
    p = asked(pictures=4)
    travelling = sent(settings("{a|b}"), p)
    travelling.arrive(expanded(multiplied(p)))
    p.iteration, p.batch_size = 1, 2
    assert [setup.active[0].prompt for setup in travelling.of_batch(p)] == ["a", "b"]
    assert travelling.of_picture(3).region_setup.active[0].prompt == "b"


def test_a_list_of_prompts_travels_too() -> None:
    p = asked(prompt=["a town", "a lake"])
    travelling = sent(settings("{a|b}"), p)
    assert [text.split(MARK)[0] for text in p.prompt] == ["a town", "a lake"]
    p.all_prompts, p.all_negative_prompts = p.prompt, [p.negative_prompt] * 2
    travelling.arrive(expanded(p))
    assert p.all_prompts == ["a town", "a lake"]


@pytest.mark.parametrize("text", ["a fox", "a (fox:1.2), [a:b:0.5]", ""])
def test_prompts_without_wildcards_stay_at_home(text: str) -> None:
    assert travelling_prompts(settings(text)) is None


def test_where_another_prompt_was_put_in_place_the_regions_keep_theirs_and_say_so() -> None:
    p = asked()
    travelling = sent(settings("{a|b}"), p)
    multiplied(p).all_prompts = ["from a file", "from a file"]
    travelling.arrive(p)
    assert prompts(travelling.pictures[0])[1] == "{a|b}"
    assert travelling.remark == LOST
    assert p.all_prompts == ["from a file", "from a file"]


def test_a_wildcard_may_not_say_what_a_region_cannot() -> None:
    p = asked()
    travelling = sent(settings("{a|<lora:b:1>}"), p)
    with pytest.raises(SettingsError, match=r"regions\[1\].prompt: put <lora"):
        travelling.arrive(expanded(multiplied(p)))
    assert p.all_prompts == ["a town", "a town"]
