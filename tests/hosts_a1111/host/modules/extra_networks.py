"""Networks named in prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

activated: list[list[str]] = []
"""The LoRAs of each call of `activate`."""


@dataclass
class ExtraNetworkParams:
    items: list[str] = field(default_factory=list)


def parse_prompt(prompt: str) -> tuple[str, dict]:
    return prompt, {}


def activate(p: Any, extra_network_data: dict[str, list[ExtraNetworkParams]]) -> None:
    activated.append([params.items[0] for params in extra_network_data.get("lora", [])])
