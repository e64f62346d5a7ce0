"""Noise-damped guidance: levels that estimate the noise reach further, and the noise is taken away all the same.

ScaleCrafter (He et al. 2024), section 3.4, equation 5: the prediction without the prompt comes from a UNet whose outer
levels are as trained, what the prompt changes from one in which they reach further too, where the noise that both leave
in the picture cancels out. The model is asked once more about the rows without the prompt.

A host's guidance makes u + S (c - u) of the predictions c with the prompt and u without, S being its scale times the
sum of the prompts' weights. To make it v + S (c - u), with v for the better prediction, u is answered with
u + (u - v) / (S - 1): only rows without the prompt change, whether or not a host asks about them apart from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lib_instantas.denoiser import map_tensors
from lib_instantas.redilation import Redilation

Ask = Callable[..., Tensor]
"""(x [B, C, H, W], sigma, **conditioning) -> the prediction for the whole canvas, like x."""


def damped(
    ask: Ask,
    redilation: Redilation,
    scales: Sequence[float | None],
    x: Tensor,
    sigma: Tensor,
    conditioning: dict[str, Any],
    ask_again: Ask | None = None,
) -> Tensor:
    """The prediction, [B, C, H, W] like x, to be guided by the host.

    `scales` is S for each row without the prompt, which lie side by side, and None for each with it; no S may be 1.
    `ask_again` is asked about the rows without the prompt alone, if that is not done as before.
    """
    prediction = ask(x, sigma, **conditioning)
    rows = [row for row, scale in enumerate(scales) if scale is not None]
    if not rows:
        return prediction
    first, stop = rows[0], rows[-1] + 1

    def pick(value: Tensor) -> Tensor:
        return value[first:stop] if value.ndim and value.shape[0] == len(x) else value

    with redilation.denoising():
        better = (ask_again or ask)(pick(x), pick(sigma), **map_tensors(pick, conditioning))
    without = [
        prediction[row] + (prediction[row] - better[row - first]) / (scale - 1)
        for row, scale in enumerate(scales)
        if scale is not None
    ]
    return torch.cat([prediction[:first], torch.stack(without), prediction[stop:]])
