"""A model without a UNet (SD 3, Flux): tiles of its own size, and what needs a UNet is refused by name."""

from __future__ import annotations

import base64
import io
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from metadata import done
from modules.processing import process_images
from PIL import Image
from torch import nn

from lib_instantas.hosts.a1111.style import align_noise
from lib_instantas.settings import SettingsError, parse_settings

ON = {"enabled": True}
LEFT = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a fox"}


@pytest.fixture
def transformer(model: Any) -> Any:
    model.model = SimpleNamespace(diffusion_model=nn.Linear(2, 2))
    return model


def test_it_is_asked_about_tiles_of_1024_pixels(make: Any, transformer: Any) -> None:
    processed = process_images(make({**ON, "fit": "native", "edges": "ring"}, width=2048, height=1024, steps=2))
    assert done(processed.infotexts[0]) == "2 tiles of 1024x1024, 4 UNet evaluations"
    assert {tuple(shape[-2:]) for shape in transformer.inputs} == {(128, 128)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"regions": [LEFT]}, r"regions must be empty .*a UNet whose cross-attention can be masked"),
        ({"method": "ScaleCrafter"}, r"method .*ScaleCrafter.*a UNet whose convolutions can be spread"),
    ],
)
def test_what_needs_a_unet_is_refused_by_name(make: Any, transformer: Any, settings: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        process_images(make({**ON, **settings}))
    assert transformer.inputs == []


def test_noise_can_be_aligned_by_a_seed_and_not_by_a_picture(transformer: Any) -> None:
    noise = torch.randn(1, 16, 128, 256)
    sampler = SimpleNamespace(sample=lambda: "sampled")
    p = SimpleNamespace(sampler=sampler, seeds=[5])
    before = noise.clone()
    align_noise(p, noise, parse_settings({**ON, "style_alignment": 0.5, "style_reference": "7"}))
    assert not torch.equal(noise, before)
    assert sampler.sample() == "sampled"
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    picture = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    align_noise(p, noise, parse_settings({**ON, "style_alignment": 0.5, "style_reference": picture}))
    with pytest.raises(SettingsError, match="style_reference must be a seed with this model"):
        sampler.sample()
