"""Classifier-free guidance around the model wrapper."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from modules import shared
from modules.script_callbacks import CFGDenoiserParams, cfg_denoiser_callback
from modules.sd_samplers_common import InterruptedException


class Wrapper(nn.Module):
    """The host's wrapper: scales for the model's sigma, and asks the model with a dictionary of conditions."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.inner_model = model

    def forward(self, input: Tensor, sigma: Tensor, **kwargs: Any) -> Tensor:
        return self.inner_model.apply_model(input, sigma, **kwargs)


class CFGDenoiser(nn.Module):
    def __init__(self, p: Any, total_steps: int) -> None:
        super().__init__()
        self.p, self.total_steps, self.step = p, total_steps, 0
        self.model_wrap: Wrapper | None = None

    @property
    def inner_model(self) -> Wrapper:
        if self.model_wrap is None:
            self.model_wrap = Wrapper(shared.sd_model)
        return self.model_wrap

    def forward(self, x: Tensor, sigma: Tensor, cond: Tensor, uncond: Tensor, image_cond: Tensor) -> Tensor:
        if shared.state.interrupted or shared.state.skipped:
            raise InterruptedException
        if getattr(self.p, "refiner", None) is not None and self.step == self.p.refiner_step:
            shared.sd_model, self.model_wrap = self.p.refiner, None
        params = CFGDenoiserParams(
            torch.cat([x, x]), torch.cat([image_cond] * 2), sigma.repeat(2), self.step, 0, cond, uncond, self
        )
        cfg_denoiser_callback(params)
        texts = torch.cat([params.text_cond, params.text_uncond])
        batch = len(texts) if shared.opts.batch_cond_uncond else len(x)
        parts = [slice(start, start + batch) for start in range(0, len(texts), batch)]
        out = torch.cat([self._ask(params, texts, rows) for rows in parts])
        positive, negative = out.chunk(2)
        self.step += 1
        return negative + 2 * (positive - negative)

    def _ask(self, params: CFGDenoiserParams, texts: Tensor, rows: slice) -> Tensor:
        cond = {"c_crossattn": [texts[rows]], "c_concat": [params.image_cond[rows]]}
        return self.inner_model(params.x[rows], params.sigma[rows], cond=cond)
