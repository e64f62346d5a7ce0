"""What an autoencoder needs in memory for a size, by calculation from its passes."""

from __future__ import annotations

from collections.abc import Sequence

from lib_instantas.tiling import Size
from lib_instantas.vae.fused import Sweep
from lib_instantas.vae.passes import Convolution, Pass


def stage_bytes(passes: Sequence[Pass | Sweep], size: Size, itemsize: int) -> int:
    """The most that the maps between the passes take at once, in bytes for one picture.

    A pass frees what it has read as it goes, so that input and output share the larger of their sizes; the skip path
    of a residual block lies beside them.
    """
    peak, main, skip = 0, 0, 0
    for step in passes:
        size = step.out_size(size)
        output = step.channels * size[0] * size[1] * itemsize
        branch = isinstance(step, Convolution) and step.branch is not None
        if branch:
            keeps_input = isinstance(step, Convolution) and step.branch == "input"
            skip = main if keeps_input else output
            peak = max(peak, main + output if keeps_input else max(main, 2 * output))
        else:
            peak = max(peak, max(main, output) + skip)
        if isinstance(step, Convolution) and step.join:
            skip = 0
        main = output
    return peak


def untiled_bytes(passes: Sequence[Pass], size: Size, in_channels: int, itemsize: int) -> int:
    """About what the untiled network has on the device at its peak, in bytes for one picture, weights apart.

    A norm and an activation each make a copy of their input before the convolution makes its output; the input itself
    stays as the residual. The workspace of the convolutions is not counted.
    """
    peak, channels, held = 0, in_channels, 0
    for step in passes:
        before = channels * size[0] * size[1]
        size, channels = step.out_size(size), step.channels
        after = channels * size[0] * size[1]
        if isinstance(step, Convolution) and step.branch is not None:
            held = before
        copies = 0 if step.norm is None else 2
        peak = max(peak, (1 + copies) * before + after if held in (0, before) else held + copies * before + after)
        if isinstance(step, Convolution) and step.join:
            held = 0
    return peak * itemsize
