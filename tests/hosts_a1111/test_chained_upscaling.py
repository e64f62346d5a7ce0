"""Upscaling behind txt2img, as far as it needs no WebUI: tests/live/test_live_upscale_chain.py has the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import make_dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from modules import processing
from modules.processing import Processing
from PIL import Image

from lib_instantas.errors import SettingsError
from lib_instantas.hosts.a1111.chained_upscaling import _job, _picture, _pixels, upscales_afterwards
from lib_instantas.hosts.a1111.sizes import apply_own_size
from lib_instantas.settings import LARGEST_SIDE, parse_settings


def test_a_picture_goes_through_the_hosts_pixels_unchanged() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(np.asarray(_picture(_pixels(Image.fromarray(levels)))), levels)


@pytest.mark.parametrize(("upscale_by", "given", "afterwards"), [(2, False, True), (2, True, False), (1, False, False)])
def test_only_txt2img_enlarges_what_it_has_made(upscale_by: int, given: bool, afterwards: bool) -> None:
    p = SimpleNamespace(init_images=[]) if given else SimpleNamespace()
    assert upscales_afterwards(p, parse_settings({"upscale_by": upscale_by})) == afterwards


def test_what_would_become_too_large_is_refused_before_it_is_made(make: Callable[..., Processing]) -> None:
    p = make({"enabled": True}, width=LARGEST_SIDE // 4, height=512, enable_hr=True, hr_scale=2)
    apply_own_size(p, parse_settings({"upscale_by": 2}))
    with pytest.raises(SettingsError, match=f"upscale_by must be less.* which makes {LARGEST_SIDE * 2}x4096"):
        apply_own_size(p, parse_settings({"upscale_by": 4}))


@pytest.mark.parametrize("known", [True, False])
def test_the_job_has_the_distilled_guidance_of_a_host_that_knows_it(
    make: Callable[..., Processing], monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    p = make({"enabled": True})
    p.all_prompts, p.all_negative_prompts, p.all_seeds, p.all_subseeds = ["cat"], [""], [5], [0]
    p.distilled_cfg_scale = 1.5
    names = "init_images width height resize_mode denoising_strength prompt negative_prompt seed subseed batch_size"
    names += " n_iter do_not_save_samples do_not_save_grid steps cfg_scale sampler_name"
    kind = make_dataclass("Img2Img", [*names.split(), *["distilled_cfg_scale"] * known])
    monkeypatch.setattr(processing, "StableDiffusionProcessingImg2Img", kind, raising=False)
    generation = SimpleNamespace(settings=parse_settings({"upscale_by": 2}), travelling=None)
    job = _job(p, generation, p.scripts.alwayson_scripts[0], Image.new("RGB", (64, 64)), 0)
    assert getattr(job, "distilled_cfg_scale", None) == (1.5 if known else None)
