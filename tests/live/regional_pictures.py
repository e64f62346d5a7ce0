"""What regional pictures of a host are asked with and compared by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from client import Client, Made, gap
from safetensors.torch import save_file
from shapes import TEXT_WIDTH

LEFT = {"type": "rectangle", "x": 0.0, "y": 0.0, "width": 0.5, "height": 1.0}
WHOLE = {"type": "rectangle", "x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0}
LONG = "a long tale of a fox who went to sea in a boat and saw a great many things there, " * 2
MAIN = {"prompt": "a house", "negative_prompt": "rain"}
ROUNDING = 0.5
"""Grey levels of 255 by which two ways to compute the same picture may differ on average."""
DIFFERENT = 2.0
"""Grey levels by which pictures of different prompts differ at least."""


def on(*regions: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"enabled": True, "regions": {"regions": list(regions)}, **settings}


def is_the_one_and_not_the_other(made: Made, one: Made, other: Made) -> bool:
    """Whether a picture is the one but for rounding, which is little beside what lies between it and the other."""
    return gap(made, one) < min(ROUNDING, gap(made, other) / 5)


def whole_is_its_prompt(client: Client, prompt: str, negative: str = "blur", main: Any = MAIN, **fields: Any) -> None:
    expected = client.txt2img({"enabled": True}, **{**fields, "prompt": prompt, "negative_prompt": negative})
    region = {"shape": WHOLE, "prompt": prompt, "negative_prompt": negative}
    without = gap(client.txt2img({"enabled": True}, **{**main, **fields}), expected)
    assert gap(client.txt2img(on(region), **{**main, **fields}), expected) < min(ROUNDING, without / 5)


def write_lora(path: Path) -> None:
    """A LoRA for keys and values of one cross-attention layer of the SD 1 shape."""
    random = torch.Generator().manual_seed(1)
    weights = {}
    for name in ("to_k", "to_v"):
        key = f"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_{name}"
        weights[f"{key}.lora_down.weight"] = torch.randn(4, TEXT_WIDTH, generator=random)
        weights[f"{key}.lora_up.weight"] = torch.randn(32, 4, generator=random)
        weights[f"{key}.alpha"] = torch.tensor(4.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)
