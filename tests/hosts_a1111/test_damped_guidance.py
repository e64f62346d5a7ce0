"""ScaleCrafter's noise-damped guidance where the host guides, however it divides the rows among calls of the model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from modules import shared
from modules.processing import process_images

LARGE: Any = {"width": 512, "height": 512, "steps": 5}
"""16 times the area of the 128x128 that the model knows."""
FAR: Any = {"enabled": True, "method": "ScaleCrafter"}


@pytest.fixture
def rows(model: Any) -> list[int]:
    """Rows of each call of a model with four levels, which attends where there are few pixels."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(4, 4, 8, 8),
        norm_num_groups=2,
        cross_attention_dim=8,
        attention_head_dim=2,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    ).eval()
    asked: list[int] = []

    def apply_model(x: torch.Tensor, sigma: torch.Tensor, cond: dict[str, Any]) -> torch.Tensor:
        asked.append(len(x))
        with torch.no_grad():
            return unet(x, sigma * 50, cond["c_crossattn"][0]).sample

    model.model = SimpleNamespace(diffusion_model=unet)
    model.apply_model = apply_model
    return asked


def made(make: Any, settings: dict[str, Any] = FAR, **fields: Any) -> Any:
    return process_images(make(settings, **{**LARGE, **fields}))


@pytest.mark.parametrize(("pictures", "prompts"), [(1, 1), (2, 1), (2, 2)])
def test_the_rows_may_come_in_one_call_or_in_several(
    make: Any, rows: list[int], monkeypatch: pytest.MonkeyPatch, pictures: int, prompts: int
) -> None:
    fields = {"batch_size": pictures, "conditions": prompts}
    together = made(make, **fields)
    each = pictures * (prompts + 1)
    assert rows == [each, pictures] * 4 + [each]
    monkeypatch.setattr(shared.opts, "batch_cond_uncond", False)
    apart = made(make, **fields)
    for one, other in zip(together.latents, apart.latents, strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    assert all("dilation 4 in the first 4, each half as long again (noise-damped)" in one for one in apart.infotexts)


def test_a_picture_of_a_batch_is_the_one_it_is_alone(make: Any, rows: list[int]) -> None:
    batch, alone = made(make, batch_size=2, seed=7), made(make, seed=8)
    assert torch.allclose(batch.latents[1], alone.latents[0], atol=1e-4)


def test_where_the_host_leaves_out_the_negative_prompt_outer_levels_stay_as_trained_and_it_says_so(
    make: Any, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    damped = made(make)
    rows.clear()
    monkeypatch.setattr(shared.opts, "skip_early_cond", 0.1, raising=False)
    plain = made(make)
    assert rows == [2] * 5
    assert not torch.allclose(plain.latents[0], damped.latents[0], atol=1e-3)
    assert "noise-damped" not in plain.infotexts[0]
    assert "outer levels as trained because the host leaves out the negative prompt" in plain.infotexts[0]
