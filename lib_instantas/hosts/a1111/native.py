"""The side of the square that the loaded model was trained on, in latent pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SD1, SD2_V, SDXL = 64, 96, 128


def native_side(model: Any) -> int:
    """64 for SD 1.x and 2-base, 96 for SD 2 `v`, 128 for SDXL and SD 3, else what the configuration says.

    The configuration's `image_size` says 64 for SD 2 `v` too, and 32 for InstructPix2Pix, whose training at 32 was
    a fine-tuning of SD 1: neither is taken at its word.
    """
    if getattr(model, "is_sdxl", False) or getattr(model, "is_sd3", False):
        return SDXL
    declared = getattr(model, "image_size", None) or _written_beside(model) or SD1
    if not isinstance(declared, int) or declared < 8 or getattr(model, "cond_stage_key", None) == "edit":
        return SD1
    return SD2_V if declared == SD1 and _predicts_v(model) else declared


def _written_beside(model: Any) -> Any:
    """`image_size` in the checkpoint's own NAME.yaml, for hosts that build models without it; else None."""
    file = getattr(getattr(model, "sd_checkpoint_info", None), "filename", None)
    config = Path(file).with_suffix(".yaml") if file else None
    if config is None or not config.is_file():
        return None
    written = yaml.safe_load(config.read_text("utf-8"))
    return written.get("model", {}).get("params", {}).get("image_size") if isinstance(written, dict) else None


def _predicts_v(model: Any) -> bool:
    """Forge keeps what is predicted with the schedule of the noise."""
    objects = getattr(model, "forge_objects", None)
    predictor = getattr(objects.unet.model, "predictor", None) if objects is not None else None
    kind = getattr(model, "parameterization", None) or getattr(predictor, "prediction_type", "epsilon")
    return kind in ("v", "v_prediction")
