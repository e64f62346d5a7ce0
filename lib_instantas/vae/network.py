"""Reads the module tree of a KL autoencoder's encoder or decoder as a list of layers, and counts what these need.

Two layouts are known by their attributes alone: ldm / sgm (`mid.block_1`, `up[i].block`) and diffusers
(`mid_block.resnets`, `up_blocks[i].resnets`). Neither library is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NoReturn

from torch import Tensor, nn

from lib_instantas.tiling import Size
from lib_instantas.vae.layers import DOWN, UP, Attention, Convolution, Layer
from lib_instantas.vae.workspace import Options, Recovery, Workspace, store_for


class UnsupportedAutoencoder(ValueError):  # noqa: N818 - it is a property of the model
    """The module is not an encoder or decoder of a KL autoencoder in a layout that is known here."""


def _refuse(module: nn.Module, reason: str) -> NoReturn:
    raise UnsupportedAutoencoder(
        f"InstantAS: tiled VAE works with KL autoencoders in the layout of ldm, sgm or diffusers; "
        f"{type(module).__name__} {reason}"
    )


def decoder_layers(decoder: nn.Module) -> list[Layer]:
    """The layers of a decoder: latent map in, picture out. Raises UnsupportedAutoencoder."""
    return _read(decoder, _ldm_up if _is_ldm(decoder, "up") else _diffusers_up)


def encoder_layers(encoder: nn.Module) -> list[Layer]:
    """The layers of an encoder: picture in, latent moments out. Raises UnsupportedAutoencoder."""
    return _read(encoder, _ldm_down if _is_ldm(encoder, "down") else _diffusers_down)


def _read(coder: nn.Module, layout: Any) -> list[Layer]:
    try:
        return list(layout(coder))
    except AttributeError as missing:
        _refuse(coder, f"is none: {missing}")


def _is_ldm(coder: nn.Module, levels: str) -> bool:
    return hasattr(coder, "mid") and hasattr(coder, levels)


def _ldm_up(decoder: Any) -> Iterator[Layer]:
    if getattr(decoder, "give_pre_end", False):
        _refuse(decoder, "returns its features instead of the picture (give_pre_end)")
    yield _entry(decoder)
    yield from _ldm_middle(decoder)
    for level in reversed(range(len(decoder.up))):
        yield from _ldm_level(decoder.up[level], f"up.{level}")
        if level != 0:
            yield _resampling(decoder.up[level].upsample, f"up.{level}.upsample", UP)
    yield _exit(decoder, decoder.norm_out, nn.functional.silu)
    if getattr(decoder, "tanh_out", False):
        _refuse(decoder, "ends in a tanh")


def _ldm_down(encoder: Any) -> Iterator[Layer]:
    yield _entry(encoder)
    for level in range(len(encoder.down)):
        yield from _ldm_level(encoder.down[level], f"down.{level}")
        if level != len(encoder.down) - 1:
            yield _resampling(encoder.down[level].downsample, f"down.{level}.downsample", DOWN)
    yield from _ldm_middle(encoder)
    yield _exit(encoder, encoder.norm_out, nn.functional.silu)


def _ldm_middle(coder: Any) -> Iterator[Layer]:
    yield from _residual(coder.mid.block_1, "mid.block_1")
    yield from _ldm_attention(coder.mid.attn_1, "mid.attn_1")
    yield from _residual(coder.mid.block_2, "mid.block_2")


def _ldm_level(level: Any, name: str) -> Iterator[Layer]:
    attentions: Sequence[Any] = getattr(level, "attn", ())  # which the WebUI's VAE of SD 3 has not at every level
    for index, block in enumerate(level.block):
        yield from _residual(block, f"{name}.block.{index}")
        if len(attentions) > 0:
            yield from _ldm_attention(attentions[index], f"{name}.attn.{index}")


def _ldm_attention(attention: Any, name: str) -> Iterator[Layer]:
    if isinstance(attention, nn.Identity):
        return
    yield Attention(
        name=name,
        norm=_group_norm(attention.norm),
        query=attention.q,
        key=attention.k,
        value=attention.v,
        output=attention.proj_out,
        channels=attention.norm.num_channels,
    )


def _diffusers_up(decoder: Any) -> Iterator[Layer]:
    yield _entry(decoder)
    yield from _diffusers_middle(decoder.mid_block)
    for index, block in enumerate(decoder.up_blocks):
        yield from _diffusers_level(block, f"up_blocks.{index}")
        for upsampler in block.upsamplers or ():
            yield _resampling(upsampler, f"up_blocks.{index}.upsamplers.0", UP)
    yield _exit(decoder, decoder.conv_norm_out, decoder.conv_act)


def _diffusers_down(encoder: Any) -> Iterator[Layer]:
    yield _entry(encoder)
    for index, block in enumerate(encoder.down_blocks):
        yield from _diffusers_level(block, f"down_blocks.{index}")
        for downsampler in block.downsamplers or ():
            yield _resampling(downsampler, f"down_blocks.{index}.downsamplers.0", DOWN)
    yield from _diffusers_middle(encoder.mid_block)
    yield _exit(encoder, encoder.conv_norm_out, encoder.conv_act)


def _diffusers_middle(middle: Any) -> Iterator[Layer]:
    yield from _residual(middle.resnets[0], "mid_block.resnets.0")
    for index, (attention, block) in enumerate(zip(middle.attentions, middle.resnets[1:], strict=True)):
        if attention is not None:
            yield _diffusers_attention(attention, f"mid_block.attentions.{index}")
        yield from _residual(block, f"mid_block.resnets.{index + 1}")


def _diffusers_level(level: Any, name: str) -> Iterator[Layer]:
    attentions: Sequence[Any] = getattr(level, "attentions", None) or [None] * len(level.resnets)
    for index, (block, attention) in enumerate(zip(level.resnets, attentions, strict=True)):
        yield from _residual(block, f"{name}.resnets.{index}")
        if attention is not None:
            yield _diffusers_attention(attention, f"{name}.attentions.{index}")


def _diffusers_attention(attention: Any, name: str) -> Layer:
    return Attention(
        name=name,
        norm=_group_norm(attention.group_norm),
        query=attention.to_q,
        key=attention.to_k,
        value=attention.to_v,
        output=attention.to_out[0],
        channels=attention.group_norm.num_channels,
        heads=attention.heads,
        residual=attention.residual_connection,
        divisor=attention.rescale_output_factor,
    )


def _entry(coder: Any) -> Layer:
    return Convolution(name="conv_in", module=coder.conv_in, channels=coder.conv_in.out_channels)


def _exit(coder: Any, norm: Any, activation: Any) -> Layer:
    return Convolution(
        name="conv_out",
        module=coder.conv_out,
        channels=coder.conv_out.out_channels,
        norm=_group_norm(norm),
        activation=activation,
    )


def _residual(block: Any, name: str) -> Iterator[Layer]:
    """A residual block is two layers, one per norm; the shortcut is taken in the first and added in the second."""
    if getattr(block, "upsample", None) is not None or getattr(block, "downsample", None) is not None:
        _refuse(block, "changes the size of the map inside a residual block")
    activation = getattr(block, "nonlinearity", nn.functional.silu)
    yield Convolution(
        name=f"{name}.conv1",
        module=block.conv1,
        channels=block.conv1.out_channels,
        norm=_group_norm(block.norm1),
        activation=activation,
        branch=_shortcut(block) or "input",
    )
    yield Convolution(
        name=f"{name}.conv2",
        module=block.conv2,
        channels=block.conv2.out_channels,
        norm=_group_norm(block.norm2),
        activation=activation,
        join=True,
        divisor=getattr(block, "output_scale_factor", 1.0),
    )


def _shortcut(block: Any) -> nn.Module | None:
    """The layer on the path around the block, where the number of channels changes."""
    names = ("conv_shortcut", "nin_shortcut")
    return next((found for name in names if isinstance(found := getattr(block, name, None), nn.Module)), None)


def _resampling(layer: Any, name: str, scale: Fraction) -> Layer:
    convolution = getattr(layer, "conv", None)
    if not isinstance(convolution, nn.Conv2d):
        _refuse(layer, f"resamples without a convolution at {name}")
    if scale == DOWN and (convolution.stride, convolution.padding, convolution.kernel_size) != (
        (2, 2),
        (0, 0),
        (3, 3),
    ):
        _refuse(layer, f"resamples at {name} with another geometry than a 3x3 kernel at stride 2, padded on one side")
    return Convolution(name=name, module=layer, channels=convolution.out_channels, scale=scale)


def _group_norm(norm: nn.Module) -> nn.GroupNorm:
    if not isinstance(norm, nn.GroupNorm):
        _refuse(norm, "is used where a GroupNorm is expected")
    return norm


def output_sizes(layers: Sequence[Layer], size: Size) -> list[Size]:
    """The size of each layer's output for an input of `size`."""
    sizes = []
    for layer in layers:
        size = layer.out_size(size)
        sizes.append(size)
    return sizes


def tile_elements(layers: Sequence[Layer], size: Size, tile: int) -> int:
    """How many values a tile may have for an input of `size`: `tile` x `tile` pixels of the widest map at full size."""
    sizes = output_sizes(layers, size)
    largest = max(size[0] * size[1] for size in sizes)
    widest = max(layer.channels for layer, size in zip(layers, sizes, strict=True) if size[0] * size[1] == largest)
    return tile * tile * widest


def map_bytes(layers: Sequence[Layer], size: Size, itemsize: int) -> int:
    """The most that the maps between the layers take at once, in bytes for one picture.

    A pass frees what it has read as it goes, so that input and output share the larger of their sizes; the path
    around a residual block lies beside them.
    """
    peak, main, skip = 0, 0, 0
    for layer in layers:
        size = layer.out_size(size)
        output = layer.channels * size[0] * size[1] * itemsize
        if layer.branch == "input":
            skip = main
            peak = max(peak, main + output)
        elif layer.branch is not None:
            skip = output
            peak = max(peak, main, 2 * output)
        else:
            peak = max(peak, max(main, output) + skip)
        skip = 0 if layer.join else skip
        main = output
    return peak


def untiled_bytes(layers: Sequence[Layer], size: Size, in_channels: int, itemsize: int) -> int:
    """About what the untiled network has on the device at its peak, in bytes for one picture, weights apart.

    A norm and an activation each make a copy of their input before the convolution makes its output; the input itself
    stays as the residual. The workspace of the convolutions is not counted.
    """
    peak, channels, held = 0, in_channels, 0
    for layer in layers:
        before = channels * size[0] * size[1]
        size, channels = layer.out_size(size), layer.channels
        after = channels * size[0] * size[1]
        held = held if layer.branch is None else before
        copies = 0 if layer.norm is None else 2
        inputs = (1 + copies) * before if held in (0, before) else held + copies * before
        peak = max(peak, inputs + after)
        held = 0 if layer.join else held
    return peak * itemsize


def workspace(
    layers: Sequence[Layer], source: Tensor, options: Options, recovery: Recovery, elements: int
) -> Workspace:
    """For taking a map `[batch, channels, height, width]` through these layers in tiles of so many values."""
    size = (source.shape[-2], source.shape[-1])
    sizes = output_sizes(layers, size)
    total = sum(layer.multiplications(after, after) for layer, after in zip(layers, sizes, strict=True))
    needed = source.shape[0] * map_bytes(layers, size, source.element_size())
    store = store_for(needed, options.store, source.device)
    return Workspace(options, recovery, source.device, store, source.dtype, elements, total)
