"""What a stochastic sampler's noise becomes if each tile draws its own and they are averaged (GVCF, eq. 11 to 14).

A sampler's step is its mean plus noise: averaging whole tile samples averages the means and the noises. The engine
fuses predictions and adds noise once on the canvas; this module exists to show what the other way round does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lib_instantas.fusion import assemble
from lib_instantas.tiling import TilePlan

KINDS = ("once on the canvas", "per tile", "per tile, corrected")


def fused_noise(plan: TilePlan, kind: str, rows: int, channels: int, generator: torch.Generator) -> Tensor:
    """Noise [rows, channels, H, W] of one step: drawn once, or per tile and averaged as eq. 8 averages samples.

    "per tile" has a variance of sum(w^2) / sum(w)^2 where tiles overlap (eq. 11); the correction makes it 1 (eq. 14).
    """
    if kind == "once on the canvas":
        return torch.randn(rows, channels, *plan.canvas, generator=generator)
    own = [(tile, torch.randn(rows, channels, *tile.size, generator=generator)) for tile in plan.tiles]
    mean = assemble(plan, own)
    return mean * correction(plan) if kind == "per tile, corrected" else mean


def correction(plan: TilePlan) -> Tensor:
    """sum(w) / sqrt(sum(w^2)) for each pixel, [H, W]: how much averaging weakened the tiles' noises (eq. 14).

    With x = mu + sigma z, eq. 14 is the fused mu plus sigma times this, times the averaged z.
    """
    if plan.is_exact:
        return torch.ones(plan.canvas)
    total, squares = torch.zeros(plan.canvas), torch.zeros(plan.canvas)
    for tile in plan.tiles:
        rows = slice(tile.y.window.start, min(tile.y.window.stop, plan.canvas[0]))
        columns = slice(tile.x.window.start, min(tile.x.window.stop, plan.canvas[1]))
        weight = plan.weight(tile)[: rows.stop - rows.start, : columns.stop - columns.start]
        total[rows, columns] += weight
        squares[rows, columns] += weight**2
    return total / squares.sqrt()
