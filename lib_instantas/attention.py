"""Regional attention: every query attends to the prompts of its own place only (InstantAS, section 3.3, eq. 10).

The prompts lie one behind another on the token axis (`conditioning.lay_out`). Each prompt that has a share in a tile
answers its queries on its own, and the answers are added in proportion to the shares, as eq. 10 has it: a share of 0
excludes a prompt, a share of 1 leaves its answer as it is, and shares between blend.

In the first evaluations regions may be bound hard: then self-attention stays within a region too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lib_instantas.attention_layers import cross_attention_layers, self_attention_layers
from lib_instantas.conditioning import SlotLayout
from lib_instantas.denoiser import ModelCall
from lib_instantas.device import no_autocast
from lib_instantas.region_masks import Attention, CallMasks, CanvasShares, KeptMasks, Slots, attend_within_region
from lib_instantas.replacing import replaced
from lib_instantas.tiling import Size


class SharedOut(Protocol):
    """Which share of each pixel belongs to which prompt: a RegionSetup, or what stands around one."""

    def shares(self, size: Size, closed: tuple[bool, bool] = (False, False)) -> Tensor:
        """Each prompt's share of each pixel, [prompts, H, W]; sums to 1."""

    def hard(self) -> SharedOut:
        """The same with sharp borders."""


PrepareContext = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]
"""What keys and what values are made of, for a layer and its context; hosts that alter them put their own here."""


def unaltered_context(layer: nn.Module, context: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values both from the context as it is."""
    return context, context


class RegionalAttention:
    """A part of TiledDenoiser (`parts`) that gives every model call the shares of its tiles.

    `layout` must be what the conditioning of the coming calls was laid out to; None means that it holds the main
    prompt only and nothing is to be done. `upcast` computes scores in fp32. A canvas that is `closed` on its (vertical,
    horizontal) axis has feathers that go on at the other end. In the first `binding` evaluations of its first canvas
    each region is hard, whatever its weight and feather, and sees in self-attention only itself.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        setup: SharedOut,
        *,
        upcast: bool = False,
        prepare_context: PrepareContext = unaltered_context,
        closed: tuple[bool, bool] = (False, False),
        binding: int = 0,
    ) -> None:
        self.layers = tuple(layer for model in models for layer in cross_attention_layers(model))
        self.within = tuple(layer for model in models for layer in self_attention_layers(model)) if binding else ()
        self.setup = setup
        self.upcast = upcast
        self.prepare_context = prepare_context
        self.closed = closed
        self.binding = binding
        self.layout: SlotLayout | None = None
        self._shares: dict[tuple[Size, bool], CanvasShares] = {}
        self._first: Size | None = None
        self._kept = KeptMasks()

    def shares(self, canvas: Size) -> Tensor:
        """Each prompt's share of each latent pixel, [slots, H, W], in main memory."""
        return self._shares_of(canvas).shares

    def _shares_of(self, canvas: Size, hard: bool = False) -> CanvasShares:
        if (canvas, hard) not in self._shares:
            setup = self.setup.hard() if hard else self.setup
            self._shares[canvas, hard] = CanvasShares(setup.shares(canvas, self.closed))
        return self._shares[canvas, hard]

    @contextmanager
    def __call__(self, call: ModelCall) -> Iterator[None]:
        """Regional attention during one model call; on leaving, every layer is as it was."""
        if self.layout is None:
            yield
            return
        self._first = self._first or call.plan.canvas
        hard = call.evaluation < self.binding and call.plan.canvas == self._first
        masks = CallMasks(self._shares_of(call.plan.canvas, hard), call, self.layout, self._kept, hard)
        layers = [(layer, self._forward) for layer in self.layers]
        layers += [(layer, self._forward_within) for layer in self.within if hard]
        with ExitStack() as stack:
            grids = {id(layer.transformer): Grid() for layer, _ in layers}
            for transformer in {id(layer.transformer): layer.transformer for layer, _ in layers}.values():
                handle = transformer.register_forward_pre_hook(grids[id(transformer)].note, with_kwargs=True)
                stack.callback(handle.remove)
            for layer, of_layer in layers:
                forward = of_layer(layer.module, grids[id(layer.transformer)], masks)
                stack.enter_context(replaced(layer.module, "forward", forward))
            yield

    def _forward(self, module: nn.Module, grid: Grid, masks: CallMasks) -> Callable[..., Tensor]:
        original, hooked = module.forward, is_hooked(module)

        def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            context, with_context = found_context(args, kwargs)
            if context is None:
                return original(x, *args, **kwargs)
            context = masks.of_active_slots(context)
            args, kwargs = with_context(context)
            if masks.is_one_prompt:
                return original(x, *args, **kwargs)
            _refuse_host_mask(kwargs)
            slots = masks.slots(grid.size, context)
            own = partial(attend, module, x, self.prepare_context(module, context), upcast=self.upcast)
            if not hooked:
                return own(slots.blended)
            return regional(partial(original, x, *args, **kwargs), context.shape[1], slots, own)

        return forward

    def _forward_within(self, module: nn.Module, grid: Grid, masks: CallMasks) -> Callable[..., Tensor]:
        original, hooked = module.forward, is_hooked(module)

        def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if masks.is_one_prompt:
                return original(x, *args, **kwargs)
            if hooked or found_context(args, kwargs)[0] is not None or x.shape[1] != math.prod(grid.size):
                raise ValueError("InstantAS: region_binding must be 0 beside what changes self-attention or its tokens")
            shares = masks.shares(grid.size, x.device)

            def within(_: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
                return attend_within_region(q, k, v, shares)

            return attend(module, x, self.prepare_context(module, x), within, upcast=self.upcast)

        return forward


class Grid:
    """Height and width of the feature map that a transformer was last called with."""

    size: Size

    def note(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A hook before the transformer's forward."""
        features = args[0] if args else kwargs["hidden_states"]
        self.size = (features.shape[-2], features.shape[-1])


Blend = Callable[[Attention, Tensor, Tensor, Tensor], Tensor]
"""Asks attention as often as it takes for queries, keys and values, and puts its answers together."""


def regional(hooked: Callable[[], Tensor], tokens: int, slots: Slots, own: Callable[..., Tensor]) -> Tensor:
    """What a layer answers whose `forward` somebody replaced, with every query attending to its own prompts only.

    An extension that adds to a layer (IP-Adapter, PuLID) first attends to the prompt with PyTorch's own attention over
    so many tokens; there the prompts are told apart, and all that the extension adds stays. Where that attention is
    another, what it adds is taken to be its answer without regions less the layer's `own` without regions.
    """
    with _RegionalScores(tokens, slots) as scores:
        result = hooked()
    return result if scores.are_regional else own(slots.blended) + (result - own())


class _RegionalScores(TorchFunctionMode):
    """While entered, the first attention of PyTorch's own over so many tokens is asked prompt by prompt."""

    def __init__(self, tokens: int, slots: Slots) -> None:
        super().__init__()
        self.tokens = tokens
        self.slots = slots
        self.are_regional = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One call from Python to PyTorch."""
        kwargs = kwargs or {}
        if self.are_regional or getattr(func, "__name__", "") != "scaled_dot_product_attention":
            return func(*args, **kwargs)
        given = dict(zip(("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), args, strict=False)) | kwargs
        if given["key"].shape[-2] != self.tokens or given.get("attn_mask") is not None:
            return func(*args, **kwargs)
        self.are_regional = True
        q, k, v = (given.pop(name) for name in ("query", "key", "value"))
        return self.slots.blended(lambda q, k, v, mask: func(q, k, v, **given | {"attn_mask": mask}), q, k, v)


def attend(
    module: Any, x: Tensor, context: tuple[Tensor, Tensor], blend: Blend | None = None, upcast: bool = False
) -> Tensor:
    """What the attention module answers for queries x [B, N, C] over T tokens, put together by `blend`.

    Its layers are called through their own forward, where LoRA acts. Keys come from context[0], values from context[1].
    `upcast` computes the scores in fp32.
    """
    q, k = _queries_and_keys(module, x, context[0])
    v = _split_heads(module.to_v(context[1]), module.heads)
    answer = partial(blend, _attention) if blend else _attention
    if upcast or getattr(module, "upcast_attention", False):
        with no_autocast(x.device):
            out = answer(q.float(), k.float(), v.float()).to(q.dtype)
    else:
        out = answer(q, k, v)
    return _project_out(module, out.transpose(1, 2).flatten(2), x)


def looked_at(module: Any, x: Tensor, keys: Tensor, positions: Sequence[int]) -> Tensor:
    """How much queries x [B, N, C] look at the tokens at some positions of `keys` [B, T, C], [B, positions, N].

    The mean over all heads of what the attention module weights their values by, in fp32.
    """
    q, k = _queries_and_keys(module, x, keys)
    with no_autocast(x.device):
        weights = ((q.float() * q.shape[-1] ** -0.5) @ k.float().transpose(-1, -2)).softmax(-1).mean(1)
    return torch.stack([weights[..., position] for position in positions], dim=1)


def _queries_and_keys(module: Any, x: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    q, k = _split_heads(module.to_q(x), module.heads), _split_heads(module.to_k(keys), module.heads)
    return _normed(module, "norm_q", q), _normed(module, "norm_k", k)


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


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


def found_context(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor | None, Callable[[Tensor], tuple[tuple[Any, ...], dict[str, Any]]]]:
    """The context in a call's arguments, and how to make the same call with another one."""
    if args:
        return args[0], lambda context: ((context, *args[1:]), kwargs)
    name = "encoder_hidden_states" if "encoder_hidden_states" in kwargs else "context"
    return kwargs.get(name), lambda context: ((), {**kwargs, name: context})


def is_hooked(module: nn.Module) -> bool:
    """Whether a `forward` of somebody else stands on this one layer; that of its class is the host's choice."""
    own = vars(module).get("forward")
    return own is not None and getattr(own, "__func__", None) is not type(module).forward


def _refuse_host_mask(kwargs: dict[str, Any]) -> None:
    if any(kwargs.get(name) is not None for name in ("mask", "attention_mask")):
        raise ValueError("InstantAS: regions cannot be combined with a mask on the prompt's tokens")
