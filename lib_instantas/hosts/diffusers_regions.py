"""Regional prompts for a diffusers pipeline: what to hand to it instead of the prompts, and the part it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lib_instantas.attention import RegionalAttention
from lib_instantas.background import Background, BackgroundSetup
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import Part
from lib_instantas.regions import RegionSetup


@dataclass(frozen=True)
class Prompts:
    """Arguments of a pipeline's call that stand for the prompts, and the parts the UNet calls need for them."""

    arguments: dict[str, Any]
    parts: tuple[Part, ...] = field(default_factory=tuple)


def prompts_for(
    pipeline: Any,
    setup: RegionSetup,
    prompt: str,
    negative_prompt: str = "",
    closed: tuple[bool, bool] = (False, False),
    binding: int = 0,
    background: Background | None = None,
) -> Prompts:
    """The main prompts as they are, or, if there are active regions or a background, encoded with theirs behind them.

    `closed` and `binding` are those of RegionalAttention. A background has the main negative prompt. For pipelines of
    SD 1, SD 2 and SDXL; of SDXL's pooled conditioning there is one, the main prompt's. Raises ValueError if the UNet
    has no cross-attention.
    """
    if not setup.active and background is None:
        return Prompts({"prompt": prompt, "negative_prompt": negative_prompt})
    encode = encoder(pipeline)
    main = encode(prompt, negative_prompt)
    regions = [encode(r.prompt or prompt, r.negative_prompt or negative_prompt) for r in setup.active]
    behind = [] if background is None else [encode(background.prompt, negative_prompt)]
    slots = [main, *regions, *behind]
    (positive, negative), layout = lay_out([slot[0] for slot in slots], [slot[1] for slot in slots])
    shared_out = setup if background is None else BackgroundSetup(setup, background.thing)
    attention = RegionalAttention([pipeline.unet], shared_out, closed=closed, binding=binding)
    attention.layout = layout
    arguments = {"prompt_embeds": positive, "negative_prompt_embeds": negative}
    if len(main) > 2:
        arguments |= {"pooled_prompt_embeds": main[2], "negative_pooled_prompt_embeds": main[3]}
    return Prompts(arguments, (attention,))


def encoder(pipeline: Any) -> Callable[[str, str], tuple[Tensor, ...]]:
    """The pipeline's own reading of a prompt and a negative prompt, as token embeddings; of SDXL also pooled ones."""

    @torch.no_grad()
    def encode(prompt: str, negative_prompt: str) -> tuple[Tensor, ...]:
        encoded: tuple[Tensor, ...] = pipeline.encode_prompt(
            prompt=prompt,
            device=pipeline.unet.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=negative_prompt,
        )
        return encoded

    return encode
