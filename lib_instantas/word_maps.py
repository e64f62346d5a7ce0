"""Where a model looks at single words of its prompt: cross-attention, added up while a picture is composed.

As in Prompt-to-Prompt (Hertz et al. 2022) and DAAM (Tang et al. 2022). A layer is only watched: what it answers, and
which attention of the host computes it, stay as they are. Nothing is read from the device before the maps are asked
for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib_instantas.attention import Grid, PrepareContext, found_context, looked_at, unaltered_context
from lib_instantas.attention_layers import cross_attention_layers
from lib_instantas.denoiser import ModelCall
from lib_instantas.tiling import Size

Positions = tuple[int, ...]
"""Where words stand in a prompt: numbers of its tokens."""

SETTLED = 0.25
"""Share of the evaluations after which a picture's layout is settled, and it is worth looking."""

SAME = 1e-2
"""Conditioning counts as a prompt's where it differs by less than this share of its largest value."""


class WordMaps:
    """Sums of how much each place looked at some words, for one picture; kept by resolution, where they were made."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Positions, Size], Tensor] = {}
        self._canvas: Size = (0, 0)

    def add(self, words: Positions, looked: Tensor, canvas: Size) -> None:
        """More of them: `looked` [words, h, w], on a canvas of so many latent pixels."""
        key = words, (int(looked.shape[-2]), int(looked.shape[-1]))
        self._sums[key] = self._sums[key] + looked if key in self._sums else looked
        self._canvas = canvas

    def read(self) -> Tensor | None:
        """The maps [words, h, w] at the canvas's own resolution, in main memory; None where nothing was looked at.

        Words that stood elsewhere in the prompt for some time are maps of their own.
        """
        sums: dict[Positions, Tensor] = {}
        for (words, _), looked in self._sums.items():
            grown = F.interpolate(looked[None], self._canvas, mode="bilinear")[0]
            sums[words] = sums[words] + grown if words in sums else grown
        maps = torch.cat([*sums.values()]).cpu() if sums else None
        return maps if maps is not None and bool(maps.any()) else None


class WordWatcher:
    """A part of TiledDenoiser (`parts`) that adds to `maps` while the model is asked about a whole picture.

    `watch` says which words: tokens at `positions` of a prompt [1, tokens, channels]. Rows of the conditioning that
    are not this prompt's, such as the negative ones, count for nothing. Evaluations before `first` are not looked at.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        maps: WordMaps,
        first: int,
        prepare_context: PrepareContext = unaltered_context,
    ) -> None:
        self.layers = tuple(layer for model in models for layer in cross_attention_layers(model))
        self.maps = maps
        self.first = first
        self.prepare_context = prepare_context
        self._prompt: Tensor | None = None
        self._positions: Positions = ()

    def watch(self, prompt: Tensor, positions: Sequence[int]) -> None:
        """Look at these words in the coming calls."""
        self._prompt, self._positions = prompt, tuple(positions)

    @contextmanager
    def __call__(self, call: ModelCall) -> Iterator[None]:
        """Look on during one model call; on leaving, every layer is as it was."""
        if self._prompt is None or not self._positions or not call.plan.is_whole_canvas or call.evaluation < self.first:
            yield
            return
        with ExitStack() as stack:
            for layer in self.layers:
                grid = Grid()
                noting = layer.transformer.register_forward_pre_hook(grid.note, with_kwargs=True)
                looking = layer.module.register_forward_pre_hook(
                    self._looking(self._prompt, grid, call.plan.canvas), with_kwargs=True
                )
                stack.callback(noting.remove)
                stack.callback(looking.remove)
            yield

    def _looking(self, prompt: Tensor, grid: Grid, canvas: Size) -> Callable[..., None]:
        words = self._positions

        @torch.no_grad()
        def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else kwargs["hidden_states"]
            context, _ = found_context(args[1:], kwargs)
            if context is None or context.shape[1] < prompt.shape[1]:
                return
            own = context[:, : prompt.shape[1]]
            counts = _is_prompt(own, prompt)
            looked = looked_at(module, x, self.prepare_context(module, own)[0], words)
            self.maps.add(words, torch.einsum("r,rwn->wn", counts, looked).unflatten(1, grid.size), canvas)

        return look


def _is_prompt(context: Tensor, prompt: Tensor) -> Tensor:
    """1 for each row of the context [rows, tokens, channels] that is the prompt, 0 for the others."""
    prompt = prompt.to(context)
    return ((context - prompt).abs().amax((1, 2)) <= SAME * prompt.abs().amax()).float()
