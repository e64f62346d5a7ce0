"""Classifier-free guidance, where the engine and not the pipeline makes a step."""

from __future__ import annotations

from torch import Tensor


def guided(rows: Tensor, scale: float) -> Tensor:
    """Predictions [B, C, H, W] of rows [2B, C, H, W], the unconditional ones first (Ho and Salimans 2022)."""
    without, with_prompt = rows.chunk(2)
    return without + scale * (with_prompt - without)
