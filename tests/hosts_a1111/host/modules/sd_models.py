"""The loaded model, without loading one, and the checkpoints that the host lists."""

from __future__ import annotations

from types import SimpleNamespace

model_data = SimpleNamespace(sd_model=None)
checkpoints_list: dict[str, SimpleNamespace] = {}


def get_closet_checkpoint_match(name: str) -> SimpleNamespace | None:
    return checkpoints_list.get(name)
