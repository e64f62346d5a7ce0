"""Regional prompts between the host's conditions and the model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules import shared
from modules.prompt_parser import DictWithShape
from torch import Tensor, nn

from lib_instantas.conditioning import is_padding
from lib_instantas.hosts.a1111.parts import SamplingPass
from lib_instantas.hosts.a1111.parts.regions import check_region_prompts, regional_prompts
from lib_instantas.settings import SettingsError, parse_settings

CHANNELS = 12
LEFT = {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}


class TextModel:
    """Encodes a prompt as one token per letter, each holding the letter's number; its UNet has cross-attention."""

    def __init__(self) -> None:
        attention = SimpleModule(to_q=nn.Identity(), to_k=nn.Identity(), to_v=nn.Identity(), to_out=nn.Identity())
        attention.heads = 1
        block = SimpleModule(attn1=nn.Identity(), attn2=attention)
        self.model = SimpleNamespace(diffusion_model=SimpleModule(transformer_blocks=nn.ModuleList([block])))

    def get_learned_conditioning(self, prompts: list[str]) -> list[Tensor]:
        return [tokens(prompt)[0] for prompt in prompts]


class SimpleModule(nn.Module):
    def __init__(self, **children: nn.Module) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


def tokens(prompt: str, rows: int = 1) -> Tensor:
    numbers = torch.tensor([float(ord(letter)) for letter in prompt])
    ramp = torch.linspace(0.5, 1, CHANNELS)
    return (numbers[:, None] * ramp).expand(rows, -1, -1)


@pytest.fixture(autouse=True)
def _text_model(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(shared.opts.data, "use_old_scheduling", False)
    shared.sd_model = TextModel()
    yield
    shared.sd_model = None


def part_for(*regions: dict[str, Any], **fields: Any) -> Any:
    settings = parse_settings({"enabled": True, "regions": list(regions)})
    p = SimpleNamespace(styles=[], steps=4, sampler_name="Euler", width=64, height=64, **fields)
    return regional_prompts(SamplingPass(p, settings, (8, 8), 8, (0,), 4, shared.sd_model.model.diffusion_model))


def laid_out(part: Any, cond: Any, uncond: Any) -> Any:
    params = SimpleNamespace(text_cond=cond, text_uncond=uncond, denoiser=SimpleNamespace(step=0))
    part.before_evaluation(params)
    return params


def test_every_row_gets_the_regions_prompts_behind_its_own() -> None:
    part = part_for({"shape": LEFT, "prompt": "fox", "negative_prompt": "rain"})
    cond = torch.cat([tokens("sea"), tokens("sky")])
    params = laid_out(part, cond, tokens("no", 2))
    assert torch.equal(params.text_cond[:, :3], cond)
    assert torch.equal(params.text_cond[:, 3:6], tokens("fox", 2))
    assert is_padding(params.text_cond).tolist() == [[False] * 6 + [True]] * 2
    assert torch.equal(params.text_uncond[:, [0, 1, 3, 4, 5, 6]], tokens("norain", 2))
    assert is_padding(params.text_uncond).tolist() == [[False, False, True] + [False] * 4] * 2


def test_a_region_without_a_prompt_of_its_own_has_each_rows_main_one() -> None:
    part = part_for({"shape": LEFT, "negative_prompt": "rain"}, {"shape": LEFT, "prompt": "fox"})
    cond = torch.cat([tokens("sea"), tokens("sky")])
    params = laid_out(part, cond, tokens("mist", 2))
    assert torch.equal(params.text_cond[:, 4:7], cond)
    assert torch.equal(params.text_uncond[:, -4:], tokens("mist", 2))


def test_a_mark_in_front_of_the_main_prompt_is_not_copied_into_a_region() -> None:
    marked = torch.cat([torch.full((1, 1, CHANNELS), 1024.0), tokens("sea")], dim=1)
    params = laid_out(part_for({"shape": LEFT, "negative_prompt": "rain"}), marked, marked)
    assert torch.equal(params.text_cond[:, :4], marked)
    assert torch.equal(params.text_cond[:, 4:7], tokens("sea"))


def test_of_sdxls_conditioning_only_the_tokens_are_laid_out() -> None:
    def conditioning(prompt: str) -> DictWithShape:
        return DictWithShape({"crossattn": tokens(prompt), "vector": torch.ones(1, 5)}, None)

    cond, uncond = conditioning("sea"), conditioning("no")
    params = laid_out(part_for({"shape": LEFT, "prompt": "fox"}), cond, uncond)
    assert torch.equal(params.text_cond["crossattn"], tokens("seafox"))
    assert params.text_cond["vector"] is cond["vector"]
    assert cond["crossattn"].shape[1] == 3, "the host's own conditioning is left alone"


def test_without_active_regions_there_is_no_part() -> None:
    assert part_for() is None
    assert part_for({"shape": LEFT, "enabled": False}) is None


def test_a_region_beside_the_picture_is_told(caplog: pytest.LogCaptureFixture) -> None:
    part_for({"shape": LEFT}, {"shape": {**LEFT, "x": 2}, "prompt": "fox"})
    assert [record.getMessage() for record in caplog.records] == ["InstantAS: regions[1] covers nothing of the picture"]


def test_a_model_without_cross_attention_is_refused() -> None:
    shared.sd_model.model.diffusion_model = nn.Identity()
    with pytest.raises(ValueError, match="InstantAS: regions need a UNet with cross-attention"):
        part_for({"shape": LEFT, "prompt": "fox"})


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({"prompt": "a fox <lora:red:0.5>"}, "regions[0].prompt: put <lora:...> in the main prompt"),
        ({"negative_prompt": "<hypernet:x:1>"}, "regions[0].negative_prompt: put <hypernet:...> in the main prompt"),
        ({"prompt": "a fox AND a hen"}, "regions[0].prompt: AND joins prompts of the whole picture"),
    ],
)
def test_what_the_host_does_for_whole_pictures_only_is_refused_in_a_region(
    region: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as error:
        check_region_prompts(parse_settings({"regions": [{"shape": LEFT, **region}]}))
    assert message in str(error.value)


def test_words_that_only_look_alike_are_taken() -> None:
    prompts = "SAND AND_ and Andes (a > b) < c"
    check_region_prompts(parse_settings({"regions": [{"shape": LEFT, "prompt": prompts}]}))


def test_inpainting_a_part_sees_the_regions_of_that_part() -> None:
    whole = SimpleNamespace(width=128, height=64)
    region = {"shape": LEFT, "prompt": "fox"}
    left, right = (part_for(region, paste_to=(x, 0, 64, 64), mask_for_overlay=whole) for x in (0, 64))
    assert left._attentions[0].shares((8, 8))[1].min() == 1
    assert right._attentions[0].shares((8, 8))[1].max() == 0


def test_controlnets_copies_of_the_unet_see_the_regions_too() -> None:
    copy, adapter = TextModel().model.diffusion_model, nn.Linear(2, 2)
    units = [SimpleNamespace(control_model=model) for model in (copy, adapter, None)]
    script = SimpleNamespace(latest_network=SimpleNamespace(control_params=units))
    part = part_for({"shape": LEFT, "prompt": "fox"}, scripts=SimpleNamespace(alwayson_scripts=[script]))
    own = shared.sd_model.model.diffusion_model
    assert [layer.transformer for layer in part._attentions[0].layers] == [own, copy]
