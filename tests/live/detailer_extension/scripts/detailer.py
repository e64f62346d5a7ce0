"""Calls the host as a face detailer does, with a face that is always in the same place.

In `postprocess_image` it makes an img2img job of a part of the picture ("only masked") by a copy of the job that is at
work, whose scripts are the host's less its own, and puts the answer in place. This is what ADetailer does around its
detector. It tells over HTTP what it was given and what its own jobs said.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from fastapi import FastAPI
from modules import script_callbacks, scripts
from modules.processing import StableDiffusionProcessingImg2Img, process_images
from PIL import Image

FACE = (0.25, 0.25, 0.5, 0.5)
"""Left, top, width and height, as shares of the picture."""

told: list[dict[str, Any]] = []


class Detailer(scripts.Script):
    def title(self) -> str:
        return "Detailer"

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        import gradio as gr

        return [gr.Checkbox(False, label="Detailer")]

    def postprocess_image(self, p: Any, pp: Any, enabled: bool = False, *args: Any) -> None:
        if not enabled or getattr(p, "_ad_inner", False):
            return
        for script in p.scripts.alwayson_scripts:  # ADetailer ends the outer job's scripts before its own begins
            if script.title() != self.title() and hasattr(script, "postprocess"):
                script.postprocess(copy(p), _Nothing(), *p.script_args[script.args_from : script.args_to])
        processed = process_images(inner_job(p, pp.image))
        told.append({"size": list(pp.image.size), "infotext": processed.infotexts[0]})
        pp.image = processed.images[0]
        outer = copy(p)
        for script in p.scripts.alwayson_scripts:
            if script.title() != self.title():
                script.process(outer, *p.script_args[script.args_from : script.args_to])


class _Nothing:
    """Stands for what the outer job has made, which is not there yet."""

    images: list[Any] = []  # noqa: RUF012
    width = height = 0


def inner_job(p: Any, image: Image.Image) -> Any:
    """img2img of the face, at 128x128, with the same prompt; every script but this one takes part."""
    left, top, width, height = (
        round(share * side) for share, side in zip(FACE, (*image.size, *image.size), strict=True)
    )
    mask = Image.new("L", image.size)
    mask.paste(255, (left, top, left + width, top + height))
    job = StableDiffusionProcessingImg2Img(
        init_images=[image], mask=mask, mask_blur=4, inpainting_fill=1, inpaint_full_res=True,
        inpaint_full_res_padding=8, denoising_strength=0.4, resize_mode=0, sd_model=p.sd_model,
        outpath_samples=p.outpath_samples, outpath_grids=p.outpath_grids, prompt=p.all_prompts[0],
        negative_prompt=p.all_negative_prompts[0], seed=p.seeds[0], sampler_name=p.sampler_name, batch_size=1,
        n_iter=1, steps=p.steps, cfg_scale=p.cfg_scale, width=128, height=128, do_not_save_samples=True,
        do_not_save_grid=True,
    )  # fmt: skip
    job.scripts = copy(p.scripts)
    job.scripts.alwayson_scripts = [one for one in p.scripts.alwayson_scripts if one.title() not in NOT_INSIDE]
    job.script_args = p.script_args
    job._ad_inner = True
    return job


NOT_INSIDE = ("Detailer", "InstantAS")
"""Scripts that take no part in the inner job: this one, and all that a detailer does not name."""


def add_routes(_: Any, app: FastAPI) -> None:
    app.add_api_route("/test/detailed", lambda: [told.pop(0) for _ in list(told)], methods=["GET"])


script_callbacks.on_app_started(add_routes)
