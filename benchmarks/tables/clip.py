"""How well pictures fit their prompts by CLIP, where its weights are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Clip:
    """A CLIP of transformers, from a folder or by the name under which transformers finds it."""

    def __init__(self, name: str) -> None:
        """Raises ValueError where there is no such model."""
        from transformers import CLIPModel, CLIPProcessor

        try:
            model: Any = CLIPModel.from_pretrained(name)
            self.processor: Any = CLIPProcessor.from_pretrained(name)
        except (OSError, ValueError) as reason:
            raise ValueError(f"clip must be a CLIP model that transformers can load, got {name!r}: {reason}") from None
        self.model = model.eval().requires_grad_(False)

    @torch.inference_mode()
    def scores(self, pictures: Tensor, prompts: Sequence[str]) -> Tensor:
        """The cosine between each picture [n, 3, H, W] in 0..1 and its prompt, [n], as in InstantAS's CLIP-S."""
        parts = zip(
            pictures.split(32), (prompts[start : start + 32] for start in range(0, len(prompts), 32)), strict=True
        )
        return torch.cat([self._scores(part, list(texts)) for part, texts in parts])

    def _scores(self, pictures: Tensor, prompts: list[str]) -> Tensor:
        inputs = self.processor(
            text=prompts,
            images=list((255 * pictures).round().byte().numpy()),
            input_data_format="channels_first",
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        answer = self.model(**inputs)
        return torch.nn.functional.cosine_similarity(answer.image_embeds, answer.text_embeds)
