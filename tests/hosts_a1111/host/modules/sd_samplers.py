"""The list of samplers."""

from __future__ import annotations

from types import SimpleNamespace

SECOND_ORDER = {"Heun"}


def find_sampler_config(name: str) -> SimpleNamespace | None:
    if not name:
        return None
    return SimpleNamespace(name=name, total_steps=lambda steps: steps * 2 if name in SECOND_ORDER else steps)
