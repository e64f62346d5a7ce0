"""Pictures that several processes make together and one alone, for `test_processes`."""

from __future__ import annotations

from typing import Any

from lib_instantas.hosts.standalone import Job
from lib_instantas.settings import parse_settings

ONE_BY_ONE = {"enabled": True, "tile": 64, "tile_batch": 1, "vae": "on", "vae_tile": 64}
"""Tiles one at a time in both networks: what is computed together is then the same in one process and in several."""

CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "two axes": {"size": (128, 128)},
    "averaging": {"method": "MultiDiffusion"},
    "fast decoding": {"vae_mode": "fast"},
    "ring": {"wrap": "horizontal"},
    "more processes than tiles": {"method": "direct", "vae_tile": 512},
    "composed": {"compose": True, "size": (64, 256)},
}


def job(size: tuple[int, int] = (64, 320), **settings: Any) -> Job:
    return Job("a fox", size, parse_settings(ONE_BY_ONE | settings), seed=3, steps=3, sampler="Euler a")
