"""A background prompt in the WebUI: which tokens are watched for whom, and what each picture of a batch gets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules import prompt_parser, shared
from test_webui_regions import LEFT, TextModel, tokens
from torch import Tensor

from lib_instantas.hosts.a1111.parts import SamplingPass
from lib_instantas.hosts.a1111.parts.background import check_background, watched_words
from lib_instantas.hosts.a1111.parts.regions import regional_prompts
from lib_instantas.hosts.a1111.parts.seen import SeenThings
from lib_instantas.settings import SettingsError, parse_settings

END = 0
"""What fills a text up to the length of a chunk."""


class Tokenizer:
    """The host's: letters for tokens, chunks of 75 between two marks, and one embedding of two tokens, called `*`."""

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        return [[ord(letter) for letter in text] for text in texts]

    def tokenize_line(self, line: str) -> tuple[list[Any], int]:
        chunk, fixes = [], []
        for letter in line:
            if letter == "*":
                fixes.append((len(chunk), SimpleNamespace(vectors=2, name="star")))
            chunk += [1, 1] if letter == "*" else [ord(letter)]
        filled = [-1, *chunk, *[END] * (75 - len(chunk)), END]
        return [SimpleNamespace(tokens=filled, fixes=fixes)], len(chunk)


@pytest.fixture(autouse=True)
def _text_model(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(shared.opts.data, "use_old_scheduling", False)
    shared.sd_model = TextModel()
    shared.sd_model.cond_stage_model = Tokenizer()
    yield
    shared.sd_model = None


def work(
    prompts: list[str], background: str, seen: SeenThings | None, composes: bool = True, **settings: Any
) -> SamplingPass:
    values = {"enabled": True, "compose": True, "compose_background": background, **settings}
    p = SimpleNamespace(
        **{"styles": [], "steps": 4, "sampler_name": "Euler", "width": 64, "height": 64, "prompts": prompts},
        **{"is_hr_pass": not composes, "hr_sampler_name": None, "hr_second_pass_steps": 2},
    )
    unet = shared.sd_model.model.diffusion_model
    return SamplingPass(
        p, parse_settings(values), (8, 8), 8, tuple(range(len(prompts))), 4, unet, composes=composes, seen=seen
    )


def watched(prompts: list[str], background: str) -> list[str]:
    """What is watched of each picture's prompt."""
    part: Any = watched_words(work(prompts, background, SeenThings()))
    params = SimpleNamespace(text_cond=torch.zeros(len(prompts), 77, 4), denoiser=SimpleNamespace(step=0))
    part.before_evaluation(params)
    texts = ["^" + prompt.replace("*", "**") for prompt in prompts]
    own = [part.of_picture(picture)._positions for picture in range(len(prompts))]
    return ["".join(text[one] for one in positions) for text, positions in zip(texts, own, strict=True)]


def test_each_picture_has_its_own_words() -> None:
    assert watched(["fox sea", "hen sea"], "sea") == ["fox ", "hn "]


def test_a_prompt_that_changes_is_watched_as_it_is_at_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        prompt_parser,
        "get_learned_conditioning_prompt_schedules",
        lambda texts, *_: [[[2, "fox"], [4, "hen"]] if "[" in text else [[4, text]] for text in texts],
    )
    part: Any = watched_words(work(["[fox:hen:0.5]"], "e", SeenThings()))
    seen = []
    for step in (0, 2, 3, 4):
        part.before_evaluation(SimpleNamespace(text_cond=torch.zeros(1, 9, 4), denoiser=SimpleNamespace(step=step)))
        seen.append(part.of_picture(0)._positions)
    assert seen == [(1, 2, 3), (1, 2, 3), (1, 3), (1, 3)]


def test_an_embedding_is_told_from_other_words_by_its_name() -> None:
    assert watched(["*fox"], "fox") == ["**"]
    with pytest.raises(SettingsError, match="compose_background must leave out"):
        watched(["*fox"], "*fox")


@pytest.mark.parametrize(("prompts", "background"), [(["fox"], "fox"), (["fox", "hen"], "fox")])
def test_a_background_that_has_every_word_of_a_picture_is_refused(prompts: list[str], background: str) -> None:
    if prompts == ["fox", "hen"]:
        prompts = ["hen", "fox"]
    with pytest.raises(SettingsError, match="compose_background must leave out the prompt's thing, got 'fox'"):
        watched_words(work(prompts, background, SeenThings()))


@pytest.mark.parametrize(
    ("background", "message"),
    [
        ("a <lora:tall:1> sea", "compose_background: put <lora:...> in the main prompt"),
        ("a sea AND a sky", "compose_background: AND joins prompts of the whole picture"),
        ("a {red|blue} sea", "compose_background must be without wildcards, got"),
        ("a __colour__ sea", "compose_background must be without wildcards, got"),
    ],
)
def test_what_a_background_cannot_say_is_refused(background: str, message: str) -> None:
    settings = {"enabled": True, "compose": True, "compose_background": background}
    with pytest.raises(SettingsError, match=message):
        check_background(parse_settings(settings))
    check_background(parse_settings({**settings, "compose": False}))


def test_a_prompt_joined_by_and_has_no_one_thing() -> None:
    with pytest.raises(SettingsError, match="compose_background must be empty where AND joins prompts"):
        watched_words(work(["fox AND sea"], "sea", SeenThings()))


def test_only_the_first_of_two_passes_is_watched() -> None:
    assert watched_words(work(["fox"], "sea", None)) is None
    assert watched_words(work(["fox"], "sea", SeenThings(), composes=False)) is None


def seen_at(*places: tuple[int, int] | None) -> SeenThings:
    """Pictures whose thing was seen in one corner of a canvas, or nowhere."""
    seen = SeenThings()
    for maps, place in zip(seen.maps(len(places)), places, strict=True):
        looked = torch.full((1, 8, 8), 0.1)
        if place is not None:
            looked[0, place[0], place[1]] = 1.0
            maps.add((1,), looked, (8, 8))
    return seen


def test_each_picture_of_a_batch_has_the_whole_prompt_in_its_own_place() -> None:
    seen = seen_at((0, 0), (7, 7), None)
    part: Any = regional_prompts(work(["fox"] * 3, "sea", seen, composes=False))
    shares: list[Tensor] = [part.of_picture(picture).shares((8, 8)) for picture in range(3)]
    assert shares[0][0, 0, 0] == shares[1][0, 7, 7] == 1
    assert shares[0][1, 7, 7] == shares[1][1, 0, 0] == 1
    assert torch.equal(shares[2][0], torch.ones(8, 8))
    assert seen.said(0) == seen.said(1) == "prompt on all but 6.2% of the canvas"
    assert seen.said(2).startswith("prompt nowhere, since")
    assert seen.said(3) == ""


def test_the_background_is_laid_out_behind_the_regions_and_has_the_main_negative() -> None:
    region = {"shape": LEFT, "prompt": "hen"}
    part: Any = regional_prompts(work(["fox"], "sea", seen_at((0, 7)), composes=False, regions=[region]))
    params = SimpleNamespace(text_cond=tokens("fox"), text_uncond=tokens("mud"), denoiser=SimpleNamespace(step=0))
    part.before_evaluation(params)
    assert torch.equal(params.text_cond, tokens("foxhensea"))
    assert torch.equal(params.text_uncond, tokens("mudmudmud"))
    shares = part.of_picture(0).shares((8, 8))
    assert torch.equal(shares[1, :, :4], torch.ones(8, 4))
    assert shares[0, 0, 7] == shares[2, 7, 7] == 1


def test_where_no_picture_has_its_thing_there_is_no_part() -> None:
    assert regional_prompts(work(["fox"], "sea", seen_at(None), composes=False)) is None


def test_a_batch_begins_with_nothing_seen() -> None:
    seen = seen_at((0, 0))
    assert seen.things(1)[0] is not None
    assert seen.said(0)
    seen.begin()
    assert seen.said(0) == ""
    assert seen.things(1) == [None]
