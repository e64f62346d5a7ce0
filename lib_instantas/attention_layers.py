"""Where a UNet of ldm, sgm or diffusers attends: its layers, recognised by their parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

ATTENTION_PARTS = ("to_q", "to_k", "to_v", "to_out", "heads")


@dataclass(frozen=True)
class AttentionLayer:
    """An attention module and the transformer it belongs to, whose input tells height and width of the queries."""

    module: nn.Module
    transformer: nn.Module


def cross_attention_layers(model: nn.Module) -> tuple[AttentionLayer, ...]:
    """The cross-attention of a UNet of ldm, sgm or diffusers, recognised by its parts.

    Raises ValueError if there is none: such a model reads its prompts in another way.
    """
    layers = tuple(_found_layers(model))
    if not layers:
        raise ValueError("InstantAS: regions need a UNet with cross-attention; this model has none")
    return layers


def has_cross_attention(model: nn.Module) -> bool:
    """Whether a model reads prompts in layers that regions can act on."""
    return any(True for _ in _found_layers(model))


def context_width(model: nn.Module | None) -> int | None:
    """Channels of the prompt that a model reads; None where it has no cross-attention."""
    first = None if model is None else next(_found_layers(model), None)
    return None if first is None else int(first.module.to_k.in_features)  # type: ignore[union-attr,arg-type]


def _found_layers(model: nn.Module) -> Iterator[AttentionLayer]:
    for transformer in model.modules():
        for block in getattr(transformer, "transformer_blocks", ()):
            for module in _cross_attention_of_block(block):
                yield AttentionLayer(module, transformer)


def self_attention_layers(model: nn.Module) -> Iterator[AttentionLayer]:
    """The layers of the same blocks in which features attend to each other, and to no prompt."""
    for transformer in model.modules():
        for block in getattr(transformer, "transformer_blocks", ()):
            module, of_prompts = getattr(block, "attn1", None), {id(one) for one in _cross_attention_of_block(block)}
            if module is not None and id(module) not in of_prompts and _is_attention(module):
                yield AttentionLayer(module, transformer)


def _is_attention(module: nn.Module) -> bool:
    return all(hasattr(module, part) for part in ATTENTION_PARTS)


def _cross_attention_of_block(block: Any) -> Iterator[nn.Module]:
    both = getattr(block, "disable_self_attn", False) or getattr(block, "only_cross_attention", False)
    for name in ("attn1", "attn2") if both else ("attn2",):
        module = getattr(block, name, None)
        if module is not None and _is_attention(module):
            yield module
