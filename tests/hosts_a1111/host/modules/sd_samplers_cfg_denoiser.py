"""Classifier-free guidance around the model wrapper."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from modules import shared
from modules.script_callbacks import CFGDenoiserParams, cfg_denoiser_callback
from modules.sd_samplers_common import InterruptedException

CFG = 2.0


class Wrapper(nn.Module):
    """The host's wrapper: scales for the model's sigma, and asks the model with a dictionary of conditions."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.inner_model = model

    def forward(self, input: Tensor, sigma: Tensor, **kwargs: Any) -> Tensor:
        return self.inner_model.apply_model(input, sigma, **kwargs)


class CFGDenoiser(nn.Module):
    """`conditions` says how many prompts joined by AND each picture of the batch has."""

    def __init__(self, p: Any, total_steps: int, conditions: list[int]) -> None:
        super().__init__()
        self.p, self.total_steps, self.step = p, total_steps, 0
        self.steps = total_steps
        self.conditions = conditions
        self.sampler = SimpleNamespace(
            sampler_extra_args={
                "cond": SimpleNamespace(batch=[[SimpleNamespace(weight=1.0)] * n for n in conditions]),
                "cond_scale": CFG,
            }
        )
        self.model_wrap: Wrapper | None = None

    @property
    def inner_model(self) -> Wrapper:
        if self.model_wrap is None:
            self.model_wrap = Wrapper(shared.sd_model)
        return self.model_wrap

    def forward(self, x: Tensor, sigma: Tensor, text: Tensor, image_cond: Tensor) -> Tensor:
        if shared.state.interrupted or shared.state.skipped:
            raise InterruptedException
        if getattr(self.p, "refiner", None) is not None and self.step == self.p.refiner_step:
            shared.sd_model, self.model_wrap = self.p.refiner, None
        owners = [picture for picture, count in enumerate(self.conditions) for _ in range(count)]
        cond = torch.cat([text * (1 + 0.1 * prompt) for count in self.conditions for prompt in range(count)])
        uncond = (text * 0.5).repeat(len(x), 1, 1)
        x_in = torch.cat([x[owners], x])
        image_cond_in = torch.cat(
            [image_cond.expand(len(x), -1, -1, -1)[owners], image_cond.expand(len(x), -1, -1, -1)]
        )
        params = CFGDenoiserParams(x_in, image_cond_in, sigma.repeat(len(x_in)), self.step, 0, cond, uncond, self)
        cfg_denoiser_callback(params)
        texts = torch.cat([params.text_cond, params.text_uncond])
        batch = len(texts) if shared.opts.batch_cond_uncond else len(x)
        parts = [slice(start, start + batch) for start in range(0, len(texts), batch)]
        out = torch.cat([self._ask(params, texts, rows) for rows in parts])
        positive, negative = out[: len(owners)], out[len(owners) :]
        denoised = negative.clone()
        for row, picture in enumerate(owners):
            denoised[picture] += CFG * (positive[row] - negative[picture])
        self.step += 1
        return denoised

    def _ask(self, params: CFGDenoiserParams, texts: Tensor, rows: slice) -> Tensor:
        cond = {"c_crossattn": [texts[rows]], "c_concat": [params.image_cond[rows]]}
        return self.inner_model(params.x[rows], params.sigma[rows], cond=cond)
