"""The side of the square that the loaded model was trained on, in latent pixels."""

from __future__ import annotations

from typing import Any

SD1, SD2_V, SDXL = 64, 96, 128


def native_side(model: Any) -> int:
    """64 for SD 1.x and 2-base, 96 for SD 2 `v`, 128 for SDXL and SD 3, else what the configuration says.

    The configuration's `image_size` says 64 for SD 2 `v` too, and 32 for InstructPix2Pix, whose training at 32 was
    a fine-tuning of SD 1: neither is taken at its word.
    """
    if getattr(model, "is_sdxl", False) or getattr(model, "is_sd3", False):
        return SDXL
    declared = getattr(model, "image_size", SD1)
    if not isinstance(declared, int) or declared < 8 or getattr(model, "cond_stage_key", None) == "edit":
        return SD1
    return SD2_V if declared == SD1 and getattr(model, "parameterization", "eps") == "v" else declared
