"""Style alignment in the WebUI: the noise of one generation, changed just before its sampler gets it."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import gradio as gr
import torch
from modules import sd_samplers_common, shared
from PIL.Image import Image
from torch import Tensor

from lib_instantas.hosts.a1111.generation import raiser, to_raise
from lib_instantas.hosts.a1111.native import is_unet, native_side, network_of
from lib_instantas.methods import Request
from lib_instantas.noise import diffused, reference_noise, style_alignment
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.style_reference import parse_reference, picture_values, reference_text
from lib_instantas.texts import messages
from lib_instantas.texts.panel import WORDS
from lib_instantas.tiling import LATENT_SCALE, Size

logger = logging.getLogger(__name__)

UPLOADED = {"sources": ["upload"]} if "sources" in inspect.signature(gr.Image).parameters else {"source": "upload"}
"""Only from a file, in the words of Gradio 4 or 3."""


def align_noise(p: Any, noise: Tensor, settings: Settings) -> bool:
    """Turn the initial noise [B, C, H, W] of a first pass towards the reference, in place. Returns whether it was.

    The host logs what a script raises here and goes on: an error stops the sampler of this one generation instead.
    """
    if getattr(p, "is_hr_pass", False):
        return False
    try:
        request = Request((int(noise.shape[-2]), int(noise.shape[-1])), native_side(shared.sd_model), settings)
        alignment = style_alignment(request)
        if alignment is not None:
            reference = torch.cat([_reference(p, settings, seed, noise, alignment.tile) for seed in p.seeds])
            noise.copy_(alignment(noise, reference[: noise.shape[0]]))
    except Exception as error:
        logger.exception("InstantAS: the generation is stopped")
        p.sampler.sample = p.sampler.sample_img2img = raiser(to_raise(p, error))
        return False
    return alignment is not None


def _reference(p: Any, settings: Settings, seed: int, noise: Tensor, tile: Size) -> Tensor:
    """[1, C, h, w] as strong as the noise it is to meet."""
    wanted = parse_reference(settings.style_reference)
    if wanted.picture is not None and not is_unet(network_of(shared.sd_model)):
        raise SettingsError(messages.ONLY_A_SEED())
    reference = reference_noise(int(seed) if wanted.seed is None else wanted.seed, noise.shape[1], tile).to(noise)
    if wanted.picture is not None:
        signal = _signal_left()
        reference = diffused(_encoded(wanted.picture, tile), reference, signal)
    return reference * float(getattr(p, "initial_noise_multiplier", None) or 1.0)


def _signal_left() -> float:
    """What is left of the picture's variance at the last timestep. Forge keeps it as the strongest noise."""
    objects = getattr(shared.sd_model, "forge_objects", None)
    schedule = getattr(objects.unet.model, "predictor", None) if objects is not None else None
    if schedule is None:
        return float(shared.sd_model.alphas_cumprod[-1])
    return 1 / (float(schedule.sigma_max) ** 2 + 1)


def _encoded(picture: Image, tile: Size) -> Tensor:
    height, width = (side * LATENT_SCALE for side in tile)
    values = (picture_values(picture, (height, width)) + 1) / 2
    return sd_samplers_common.images_tensor_to_samples(values, model=shared.sd_model)


def add_picture_upload(setting: Any, elem_id: str, interactive: bool) -> None:
    """A place to drop a picture on; what is dropped becomes the text of the setting, small enough for infotext."""
    upload = gr.Image(
        label=WORDS["style_picture"], type="pil", elem_id=elem_id, interactive=interactive, height=160, **UPLOADED
    )
    upload.do_not_save_to_config = True
    upload.upload(lambda picture: reference_text(picture), upload, setting, show_progress="hidden", queue=False)
    upload.clear(lambda: "", None, setting, show_progress="hidden", queue=False)
