"""What the host's guidance will make of the predictions of an evaluation."""

from __future__ import annotations

from typing import Any

from modules import shared


def scales_of(params: Any) -> tuple[list[float], str]:
    """S of u + S (c - u) for each picture of the batch, and, where that is not what is done, in words why not.

    S is CFG times the sum of the weights of the prompts that AND joins. Read from the host's CFGDenoiserParams.
    """
    denoiser = params.denoiser
    arguments = denoiser.sampler.sampler_extra_args
    scale = float(arguments["cond_scale"]) * float(getattr(denoiser, "cond_scale_miltiplier", 1.0))
    scales = [scale * sum(condition.weight for condition in conditions) for conditions in arguments["cond"].batch]
    return scales, _why_not(denoiser, arguments, scales)


def _why_not(denoiser: Any, arguments: dict[str, Any], scales: list[float]) -> str:
    if any(abs(scale - 1) < 1e-3 for scale in scales):
        return "CFG 1 has no guidance"
    if getattr(shared.opts, "skip_early_cond", 0.0) or arguments.get("s_min_uncond", 0.0):
        return "the host leaves out the negative prompt in some steps"
    if getattr(shared.sd_model, "cond_stage_key", None) == "edit":
        return "InstructPix2Pix is guided by a picture too"
    if getattr(denoiser, "need_last_noise_uncond", False):
        return "the sampler goes on from the prediction without the prompt"
    return ""
