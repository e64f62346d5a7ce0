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
