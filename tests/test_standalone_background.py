"""A background prompt on a pipeline: the first stage as without, the whole prompt in the second where its thing is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import PIPELINES, said, sd_pipeline

from lib_instantas import background
from lib_instantas.attention_layers import cross_attention_layers
from lib_instantas.hosts.diffusers_background import StagePrompts, positions_of_thing
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.infotext import from_text
from lib_instantas.settings import SettingsError, parse_settings
from lib_instantas.word_maps import WordWatcher

REGION = '{"regions": [{"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a hen"}]}'
FOUND = "background prompt on all but "
KINDS = pytest.mark.parametrize("kind", list(PIPELINES))


@pytest.fixture(scope="module")
def keen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Generator]:
    """Small pipelines whose queries and keys are long, so that a word is looked at in one place, not everywhere."""
    made = {kind: Generator(make(tmp_path_factory.mktemp(kind))) for kind, make in PIPELINES.items()}
    for generator in made.values():
        for layer in cross_attention_layers(generator.pipeline.unet):
            for name in ("to_q", "to_k"):
                getattr(layer.module, name).weight.data *= 12
    return made


def job(size: tuple[int, int] = (128, 384), prompt: str = "a fox", background: str = "a", **settings: Any) -> Job:
    values = {"enabled": True, "compose": True, "compose_background": background, "tile_batch": 1, **settings}
    return Job(prompt, size, parse_settings(values), "bad", seed=3, steps=4, sampler="DDIM", guidance=5.0)


def states(generator: Generator, wanted: Job) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []
    generator(wanted, on_step=lambda step, latents: seen.append(latents.clone()))
    return seen


@KINDS
def test_only_the_second_stage_is_another(
    keen: dict[str, Generator], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "LARGEST", 0.95)  # what random weights look at is large
    plain, other = states(keen[kind], job(background="")), states(keen[kind], job())
    assert all(torch.equal(a, b) for a, b in zip(plain[:4], other[:4], strict=True))
    assert not torch.equal(plain[-1], other[-1])
    line = said(keen[kind](job()))
    share = float(line.split(FOUND)[1].split("%")[0])
    assert 0 < share < 100


@KINDS
def test_where_nothing_is_found_it_is_the_picture_without(generators: dict[str, Generator], kind: str) -> None:
    """A pipeline that looks at all words everywhere alike."""
    generator = generators[kind]
    plain, other = states(generator, job(background="")), states(generator, job())
    assert all(torch.equal(a, b) for a, b in zip(plain, other, strict=True))
    assert "background prompt nowhere, since" in said(generator(job()))


def test_the_background_is_asked_for_where_the_thing_is_not(keen: dict[str, Generator]) -> None:
    """Both prompts lie side by side in the second stage, behind the first's that is as ever; the negative one twice."""
    generator, asked = keen["sd"], []
    forward = generator.pipeline.unet.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["encoder_hidden_states"])
        return forward(*args, **kwargs)

    generator.pipeline.unet.forward = watched
    try:
        generator(job())
    finally:
        del generator.pipeline.unet.forward
    whole, background = (generator.pipeline.encode_prompt(text, "cpu", 1, True, "bad") for text in ("a fox", "a"))
    assert torch.equal(asked[0], torch.cat([whole[1], whole[0]]))
    assert torch.equal(asked[-1][0], torch.cat([whole[1], whole[1]], 1)[0]), "the negative prompt is one"
    assert torch.allclose(asked[-1][1], torch.cat([whole[0], background[0]], 1)[0], atol=1e-6)


def test_nothing_is_left_in_the_model(keen: dict[str, Generator]) -> None:
    class Stop(Exception):  # noqa: N818
        pass

    calls = last = 0

    def before_batch() -> None:
        nonlocal calls
        calls += 1
        if calls > last:
            raise Stop

    unet = keen["sd"].pipeline.unet
    for last in (3, 7):  # noqa: B007 (read by before_batch)
        calls = 0
        with pytest.raises(Stop):
            keen["sd"](job(), before_batch=before_batch)
        assert not any(module._forward_pre_hooks or "forward" in vars(module) for module in unet.modules())
    again = states(keen["sd"], job(background=""))
    assert torch.equal(again[-1], states(keen["sd"], job(background=""))[-1])


def test_regions_keep_their_places(keen: dict[str, Generator]) -> None:
    line = said(keen["sd"](job(regions=REGION)))
    assert "1 region" in line
    assert FOUND in line
    assert not torch.equal(states(keen["sd"], job(regions=REGION))[-1], states(keen["sd"], job())[-1])


def test_without_a_background_the_stages_share_their_prompts(generators: dict[str, Generator]) -> None:
    generator = generators["sd"]
    for wanted in (job(background=""), job(compose=False)):
        prompts = StagePrompts(generator.pipeline, wanted)
        stages = generator.stages(wanted)
        made = [prompts.of(stage, follows=number > 0) for number, stage in enumerate(stages)]
        assert all(one is made[0] for one in made)
        assert not any(isinstance(part, WordWatcher) for one in made for part in one.parts)
        assert prompts.about == []


@pytest.mark.parametrize(("prompt", "background"), [("a fox", "a fox"), ("a fox", "fox"), ("a fox", "a fox xof")])
def test_a_background_with_every_word_of_the_prompt_is_refused(
    generators: dict[str, Generator], prompt: str, background: str
) -> None:
    painted: list[int] = []
    message = f"compose_background must leave out the prompt's thing, got '{background}'"
    with pytest.raises(SettingsError, match=message):
        generators["sd"](job(prompt=prompt, background=background), on_step=lambda step, _: painted.append(step))
    assert not painted


def test_what_has_no_effect_is_said_and_not_refused(generators: dict[str, Generator]) -> None:
    generator = generators["sd"]
    small = said(generator(job((64, 96), background="a fox")))
    assert "compose has no effect on a picture of about the model's own area" in small
    assert "background" not in small
    assert "compose_background has no effect with compose off" in said(generator(job(compose=False)))


@pytest.mark.parametrize("method", ["SyncDiffusion", "ElasticDiffusion", "Merge-Attend-Diffuse"])
def test_methods_that_read_prompts_in_another_way_refuse_it(generators: dict[str, Generator], method: str) -> None:
    with pytest.raises(SettingsError, match=f"compose_background must be empty with the method {method}, got 'a'"):
        generators["sd"](job(method=method))


def test_metadata_paste_back(keen: dict[str, Generator]) -> None:
    wanted = job(prompt="a fox", background='a, it\'s: "so"')
    line = json.loads(keen["sd"](wanted).infotext.splitlines()[-1].split("InstantAS: ", 1)[1])
    assert from_text(line) == wanted.settings


def test_words_that_are_no_things_are_not_looked_for(tmp_path: Path) -> None:
    pipeline = sd_pipeline(tmp_path)
    tokens = pipeline.tokenizer("a fox").input_ids
    letters = pipeline.tokenizer.convert_ids_to_tokens(tokens)
    positions = positions_of_thing(pipeline, job(prompt="a fox", background="sea"))
    assert [letters[position] for position in positions] == ["f", "o", "x</w>"]
