"""Regional attention: every query attends to the prompts of its own place only (InstantAS, section 3.3, eq. 10).

The prompts lie one behind another on the token axis (`conditioning.lay_out`). A query's share of each prompt is added
to its scores as a logarithm, so that one masked softmax is the paper's per-region attention for all regions at once:
a share of 0 excludes a prompt, a share of 1 leaves its softmax as it is, and shares between blend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib_instantas.conditioning import SlotLayout, is_padding
from lib_instantas.denoiser import ModelCall
from lib_instantas.fusion import cut
from lib_instantas.regions import RegionSetup
from lib_instantas.shapes import area_resample_halved
from lib_instantas.tiling import Size

ATTENTION_PARTS = ("to_q", "to_k", "to_v", "to_out", "heads")

PrepareContext = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]
"""What keys and what values are made of, for a layer and its context; hosts that alter them put their own here."""


def unaltered_context(layer: nn.Module, context: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values both from the context as it is."""
    return context, context


@dataclass(frozen=True)
class CrossAttentionLayer:
    """An attention module and the transformer it belongs to, whose input tells height and width of the queries."""

    module: nn.Module
    transformer: nn.Module


def cross_attention_layers(model: nn.Module) -> tuple[CrossAttentionLayer, ...]:
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


def _found_layers(model: nn.Module) -> Iterator[CrossAttentionLayer]:
    for transformer in model.modules():
        for block in getattr(transformer, "transformer_blocks", ()):
            for module in _cross_attention_of_block(block):
                yield CrossAttentionLayer(module, transformer)


def _cross_attention_of_block(block: Any) -> Iterator[nn.Module]:
    both = getattr(block, "disable_self_attn", False) or getattr(block, "only_cross_attention", False)
    for name in ("attn1", "attn2") if both else ("attn2",):
        module = getattr(block, name, None)
        if module is not None and all(hasattr(module, part) for part in ATTENTION_PARTS):
            yield module


class RegionalAttention:
    """A part of TiledDenoiser (`around`) that gives every model call the masks of its tiles.

    `layout` must be what the conditioning of the coming calls was laid out to; None means that it holds the main
    prompt only and nothing is to be done. `upcast` computes scores in fp32.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        setup: RegionSetup,
        *,
        upcast: bool = False,
        prepare_context: PrepareContext = unaltered_context,
    ) -> None:
        self.layers = tuple(layer for model in models for layer in cross_attention_layers(model))
        self.setup = setup
        self.upcast = upcast
        self.prepare_context = prepare_context
        self.layout: SlotLayout | None = None
        self._shares: dict[Size, Tensor] = {}

    def shares(self, canvas: Size) -> Tensor:
        """Each prompt's share of each latent pixel, [slots, H, W]; kept for the canvases of this generation."""
        if canvas not in self._shares:
            self._shares[canvas] = self.setup.shares(canvas)
        return self._shares[canvas]

    @contextmanager
    def __call__(self, call: ModelCall) -> Iterator[None]:
        """Regional attention during one model call; on leaving, every layer is as it was."""
        if self.layout is None:
            yield
            return
        shares = self.shares(call.plan.canvas)
        tiles = torch.stack([cut(shares, call.plan, tile) for tile in call.tiles])
        masks = CallMasks(tiles, call.rows, self.layout)
        with ExitStack() as stack:
            grids = {id(layer.transformer): _Grid() for layer in self.layers}
            for transformer in {id(layer.transformer): layer.transformer for layer in self.layers}.values():
                handle = transformer.register_forward_pre_hook(grids[id(transformer)].note, with_kwargs=True)
                stack.callback(handle.remove)
            for layer in self.layers:
                forward = self._forward(layer.module, grids[id(layer.transformer)], masks)
                stack.enter_context(_replaced(layer.module, forward))
            yield

    def _forward(self, module: nn.Module, grid: _Grid, masks: CallMasks) -> Callable[..., Tensor]:
        original = module.forward

        def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            context, with_context = _found_context(args, kwargs)
            if context is None:
                return original(x, *args, **kwargs)
            context = masks.of_active_slots(context)
            if masks.is_one_prompt:
                args, kwargs = with_context(context)
                return original(x, *args, **kwargs)
            _refuse_host_mask(kwargs)
            pair = self.prepare_context(module, context)
            return attend(module, x, pair, partial(masks.bias, grid.size, context), self.upcast)

        return forward


class _Grid:
    """Height and width of the feature map that a transformer was last called with."""

    size: Size

    def note(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        features = args[0] if args else kwargs["hidden_states"]
        self.size = (features.shape[-2], features.shape[-1])


class CallMasks:
    """The masks of one model call. `tiles` are the shares [tiles, slots, h, w], for `rows` rows each.

    Slots without a share in any of the tiles are left out of the context: masked or absent is the same softmax.
    """

    def __init__(self, tiles: Tensor, rows: int, layout: SlotLayout) -> None:
        self._active = (tiles.amax((0, 2, 3)) > 0).nonzero().flatten().tolist()
        self._tiles = tiles[:, self._active]
        self._rows = rows
        self._layout = layout
        self._has_padding = any(layout.padded[index] for index in self._active)
        self._lengths = torch.empty(0)
        self._seen: tuple[Tensor, Tensor] | None = None
        self._biases: dict[tuple[Size, torch.dtype], Tensor] = {}

    @property
    def is_one_prompt(self) -> bool:
        """Whether the call is all one prompt's, and no row's tokens need a mask."""
        return len(self._active) == 1 and not self._has_padding

    def of_active_slots(self, context: Tensor) -> Tensor:
        """The tokens of the slots that have a share in this call."""
        if self._seen is None or self._seen[0] is not context:
            layout = self._layout.fitted_to(context.shape[1])
            self._lengths = torch.tensor([layout.lengths[index] for index in self._active])
            pieces = [context[:, layout.slots[index]] for index in self._active]
            self._seen = context, context if len(pieces) == len(layout.slots) else torch.cat(pieces, dim=1)
            self._biases.clear()
        return self._seen[1]

    def bias(self, grid: Size, context: Tensor, dtype: torch.dtype) -> Tensor:
        """What is added to the scores, [rows or 1, 1, queries, tokens]: the logarithm of the query's share of a prompt.

        A prompt's tokens divide its share among them, lest a blend leans to the longer prompt.
        """
        if (grid, dtype) not in self._biases:
            slot_of_token = torch.repeat_interleave(self._lengths)
            shares = area_resample_halved(self._tiles, grid).flatten(2).transpose(1, 2)
            bias = shares.log()[..., slot_of_token].to(context.device)
            if len(self._tiles) > 1:
                bias = bias.repeat_interleave(self._rows, 0)
            bias = bias + self._token_bias(context, slot_of_token.to(context.device))[:, None]
            self._biases[grid, dtype] = bias[:, None].to(dtype)
        return self._biases[grid, dtype]

    def _token_bias(self, context: Tensor, slot_of_token: Tensor) -> Tensor:
        """[rows or 1, tokens]: minus the logarithm of how many tokens the slot holds, minus infinity for padding."""
        if not self._has_padding:
            return -self._lengths.float().to(context.device).log()[slot_of_token][None]
        padding = is_padding(context)
        counts = torch.zeros(len(context), len(self._lengths), device=context.device)
        counts.index_add_(1, slot_of_token, (~padding).float())
        return (-counts.log()[:, slot_of_token]).masked_fill(padding, -math.inf)


def attend(
    module: Any,
    x: Tensor,
    context: tuple[Tensor, Tensor],
    bias: Callable[[torch.dtype], Tensor],
    upcast: bool = False,
) -> Tensor:
    """What the attention module answers for queries x [B, N, C], with a bias [B or 1, 1, N, T] on its scores.

    Its layers are called through their own forward, where LoRA acts. Keys come from context[0], values from context[1].
    The bias is asked for in the precision of the scores; `upcast` makes that fp32.
    """
    q, k, v = (
        _split_heads(projection(tokens), module.heads)
        for projection, tokens in ((module.to_q, x), (module.to_k, context[0]), (module.to_v, context[1]))
    )
    q, k, dtype = _normed(module, "norm_q", q), _normed(module, "norm_k", k), q.dtype
    if upcast or getattr(module, "upcast_attention", False):
        q, k, v = q.float(), k.float(), v.float()
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias(q.dtype))
    return _project_out(module, out.transpose(1, 2).flatten(2).to(dtype), x)


def _normed(module: Any, name: str, heads: Tensor) -> Tensor:
    norm = getattr(module, name, None)
    return heads if norm is None else norm(heads)


def _split_heads(tokens: Tensor, heads: int) -> Tensor:
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def _project_out(module: Any, out: Tensor, x: Tensor) -> Tensor:
    # diffusers keeps a list of layers, ldm and sgm a sequence that is called.
    for layer in module.to_out if isinstance(module.to_out, nn.ModuleList) else [module.to_out]:
        out = layer(out)
    if getattr(module, "residual_connection", False):
        out = out + x
    return out / getattr(module, "rescale_output_factor", 1.0)


def _found_context(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor | None, Callable[[Tensor], tuple[tuple[Any, ...], dict[str, Any]]]]:
    """The context in a call's arguments, and how to make the same call with another one."""
    if args:
        return args[0], lambda context: ((context, *args[1:]), kwargs)
    name = "encoder_hidden_states" if "encoder_hidden_states" in kwargs else "context"
    return kwargs.get(name), lambda context: ((), {**kwargs, name: context})


def _refuse_host_mask(kwargs: dict[str, Any]) -> None:
    if any(kwargs.get(name) is not None for name in ("mask", "attention_mask")):
        raise ValueError("InstantAS: regions cannot be combined with a mask on the prompt's tokens")


@contextmanager
def _replaced(module: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    own = vars(module)
    had_one, before = "forward" in own, own.get("forward")
    own["forward"] = forward
    try:
        yield
    finally:
        if had_one:
            own["forward"] = before
        else:
            del own["forward"]
