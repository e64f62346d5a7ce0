"""Watching cross-attention: what is added up, for whom, and that nothing of the model's answer changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from regional import KINDS, everything_attached, prompt, whole
from tiny_unets import UNETS
from torch import Tensor

from lib_instantas.attention import Grid
from lib_instantas.attention_layers import cross_attention_layers
from lib_instantas.denoiser import ModelCall
from lib_instantas.methods import Direct
from lib_instantas.tiling import TilePlan
from lib_instantas.word_maps import WordMaps, WordWatcher

SIZE = (16, 24)
WORDS = (1, 4)

pytestmark = pytest.mark.usefixtures("_no_gradients")


def canvas(rows: int) -> Tensor:
    return torch.randn(rows, 4, *SIZE, generator=torch.Generator().manual_seed(1))


def watched(
    kind: str, unet: Any, context: Tensor, words: tuple[int, ...] = WORDS, evaluation: int = 5, first: int = 0
) -> tuple[Tensor, Tensor | None]:
    """The UNet's answer for rows of a context while the rows of one prompt are watched, and the maps of its words."""
    maps = WordMaps()
    watcher = WordWatcher([unet], maps, first)
    watcher.watch(prompt(7), words)
    call = ModelCall(whole(*SIZE), whole(*SIZE).tiles, len(context), evaluation)
    with watcher(call):
        answer = UNETS[kind][1](unet, canvas(len(context)), context)
    return answer, maps.read()


def by_hand(kind: str, unet: Any, context: Tensor, row: int) -> Tensor:
    """The maps of one row, from what each layer is given: the weights of all words, and of these the two asked for."""
    total = torch.zeros(len(WORDS), *SIZE)
    hooks = []
    for layer in cross_attention_layers(unet):
        grid = Grid()
        hooks.append(layer.transformer.register_forward_pre_hook(grid.note, with_kwargs=True))

        def look(module: Any, args: Any, kwargs: Any, grid: Grid = grid) -> None:
            x = args[0] if args else kwargs["hidden_states"]
            queries = module.to_q(x)[row].unflatten(-1, (module.heads, -1))
            keys = module.to_k(context)[row, :7].unflatten(-1, (module.heads, -1))
            scores = torch.einsum("nhc,thc->hnt", queries, keys) / queries.shape[-1] ** 0.5
            found = scores.softmax(-1).mean(0)[:, list(WORDS)].T.unflatten(1, grid.size)
            total.add_(torch.nn.functional.interpolate(found[None], SIZE, mode="bilinear")[0])

        hooks.append(layer.module.register_forward_pre_hook(look, with_kwargs=True))
    UNETS[kind][1](unet, canvas(len(context)), context)
    for hook in hooks:
        hook.remove()
    return total


@KINDS
def test_the_answer_is_bit_for_bit_the_same_and_nothing_stays(kind: str) -> None:
    unet = UNETS[kind][0]()
    context = torch.cat([prompt(7), prompt(7, seed=1)])
    before = everything_attached(unet)
    plain = UNETS[kind][1](unet, canvas(2), context)
    answer, maps = watched(kind, unet, context)
    assert torch.equal(answer, plain)
    assert maps is not None
    assert everything_attached(unet) == before


@KINDS
def test_maps_are_what_the_layers_weight_the_words_by(kind: str) -> None:
    unet = UNETS[kind][0]()
    context = torch.cat([prompt(7, seed=1), prompt(7)])
    _, maps = watched(kind, unet, context)
    assert maps is not None
    assert torch.allclose(maps, by_hand(kind, unet, context, row=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_only_rows_of_the_prompt_count_in_whatever_order(order: list[int]) -> None:
    unet = UNETS["ldm"][0]()
    context = torch.cat([prompt(7), prompt(7, seed=1)])[order]
    _, maps = watched("ldm", unet, context)
    assert maps is not None
    assert torch.allclose(maps, by_hand("ldm", unet, context, row=order.index(0)), rtol=1e-4, atol=1e-6)
    assert watched("ldm", unet, prompt(7, seed=1))[1] is None


def test_what_is_laid_out_behind_the_prompt_is_not_looked_at() -> None:
    unet = UNETS["ldm"][0]()
    _, maps = watched("ldm", unet, prompt(7))
    _, longer = watched("ldm", unet, torch.cat([prompt(7), prompt(5, seed=2)], dim=1))
    assert maps is not None
    assert longer is not None
    # The layers' own answers differ, and with them what the later layers are asked.
    assert torch.allclose(maps.sum((1, 2)), longer.sum((1, 2)), rtol=0.2)
    assert watched("ldm", unet, prompt(7)[:, 1:])[1] is None, "too short to be the prompt"


def test_half_precision_knows_its_prompt() -> None:
    unet = UNETS["ldm"][0]()
    rounded = prompt(7).bfloat16().float()
    assert watched("ldm", unet, rounded)[1] is not None


@pytest.mark.parametrize(("evaluation", "looks"), [(2, False), (3, True)])
def test_it_begins_to_look_when_the_layout_is_settled(evaluation: int, looks: bool) -> None:
    _, maps = watched("ldm", UNETS["ldm"][0](), prompt(7), evaluation=evaluation, first=3)
    assert (maps is not None) == looks


def test_without_words_or_on_a_tile_nothing_is_attached() -> None:
    unet = UNETS["ldm"][0]()
    watcher = WordWatcher([unet], WordMaps(), 0)
    tile = Direct(SIZE).plan(0).tiles[0]
    part = TilePlan((32, 48), (tile,))
    before = everything_attached(unet)
    for words, plan in (((), whole(*SIZE)), (WORDS, part)):
        watcher.watch(prompt(7), words)
        with watcher(ModelCall(plan, (tile,), 1, 9)):
            assert everything_attached(unet) == before


def test_words_that_move_in_the_prompt_have_a_map_for_each_place() -> None:
    maps = WordMaps()
    one, other = torch.rand(2, *SIZE), torch.rand(1, 8, 12)
    maps.add((1, 2), one, SIZE)
    maps.add((4,), other, SIZE)
    maps.add((1, 2), one, SIZE)
    read = maps.read()
    assert read is not None
    assert torch.equal(read[:2], 2 * one)
    assert read.shape == (3, *SIZE)


def test_an_error_of_the_model_leaves_nothing() -> None:
    unet = UNETS["ldm"][0]()
    before = everything_attached(unet)
    watcher = WordWatcher([unet], WordMaps(), 0)
    watcher.watch(prompt(7), WORDS)
    with pytest.raises(RuntimeError, match="gone"), watcher(ModelCall(whole(*SIZE), whole(*SIZE).tiles, 1, 9)):
        raise RuntimeError("gone")
    assert everything_attached(unet) == before
