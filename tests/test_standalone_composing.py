"""Compose first on a pipeline: the whole at the model's own area, then tiles over it at the exact final size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from tiny_pipelines import PIPELINES, said, sd_pipeline, values
from vae_models import out_of_memory_beyond

from lib_instantas.fidelity import COARSE, LowPass
from lib_instantas.hosts import diffusers_vae
from lib_instantas.hosts.enlarging import UPSCALERS, enlarged_latents, enlarged_picture
from lib_instantas.hosts.samplers import SAMPLERS, evaluations_of
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.infotext import from_text
from lib_instantas.settings import SettingsError, parse_settings

REGION = '{"regions": [{"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a hen"}]}'


def job(size: tuple[int, int] = (128, 384), sampler: str = "DDIM", steps: int = 4, **settings: Any) -> Job:
    counted = {"fit": "fitted", "edges": "elastic", "tile_batch": 1}  # tiles of one size, one by one
    values = {"enabled": True, "compose": True, **counted, **settings}
    return Job("a fox", size, parse_settings(values), seed=3, steps=steps, sampler=sampler, guidance=5.0)


def canvases(generator: Generator, wanted: Job) -> list[tuple[int, int]]:
    """The sizes that the UNet was asked about."""
    seen: list[tuple[int, int]] = []
    forward = generator.pipeline.unet.forward

    def watched(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append((int(x.shape[-2]), int(x.shape[-1])))
        return forward(x, *args, **kwargs)

    generator.pipeline.unet.forward = watched
    try:
        generator(wanted)
    finally:
        del generator.pipeline.unet.forward
    return seen


@pytest.mark.parametrize("kind", list(PIPELINES))
def test_the_whole_is_made_at_the_models_own_area_and_tiles_only_then(
    generators: dict[str, Generator], kind: str
) -> None:
    seen = canvases(generators[kind], job())
    assert set(seen[:4]) == {(4, 12)}  # 32x96 pixels: the model's own 64x64, three times as wide as high
    assert len(seen) == 4 + 2 * 2 * 6
    assert all(height * width < 16 * 48 for height, width in seen[4:])


def test_metadata_name_both_passes_and_paste_back(generator: Generator) -> None:
    result = generator(job())
    assert said(result).startswith(
        "first pass: 1 tile of 96x32, 4 UNet evaluations; second pass: 12 tiles of 64x64, 24 UNet evaluations"
    )
    assert "Size: 384x128" in result.infotext
    line = result.infotext.splitlines()[-1].split("InstantAS: ", 1)[1]
    assert from_text(json.loads(line)) == job().settings


@pytest.mark.parametrize("kind", list(PIPELINES))
@pytest.mark.parametrize("size", [(64, 512), (512, 64), (131, 389), (128, 128)])
def test_the_size_is_exact(generators: dict[str, Generator], kind: str, size: tuple[int, int]) -> None:
    assert generators[kind](job(size, steps=2)).image.size == (size[1], size[0])


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize(("steps", "strength", "made"), [(4, 0.5, 2), (7, 0.35, 2), (1, 1, 1), (3, 0.05, 1)])
def test_every_sampler_makes_its_share_of_the_steps(
    generator: Generator, sampler: str, steps: int, strength: float, made: int
) -> None:
    wanted = job((64, 192), sampler, steps, compose_strength=strength)
    counted: list[int] = []
    generator(wanted, on_step=lambda step, latents: counted.append(step))
    evaluations = evaluations_of(sampler, steps) + evaluations_of(sampler, made)
    assert counted == list(range(1, evaluations + 1))
    assert generator.evaluations(wanted) == evaluations


def test_the_second_stage_begins_with_the_first_picture(generator: Generator) -> None:
    """With hardly any strength the finished latents are about those of the first picture, enlarged and encoded."""
    distances = []
    for strength in (0.05, 1.0):
        states: list[torch.Tensor] = []
        wanted = job(compose_strength=strength, compose_upscaler="Latent (nearest)")
        generator(wanted, on_step=lambda step, latents, states=states: states.append(latents.clone()))
        enlarged = states[3].repeat_interleave(4, -1).repeat_interleave(4, -2)
        distances.append((states[-1] - enlarged).square().mean().sqrt() / enlarged.square().mean().sqrt())
    assert distances[0] < distances[1] / 2


@pytest.mark.parametrize("changed", [{"compose_strength": 0.75}, {"compose_guidance": 2.0}])
def test_strength_and_guidance_are_the_second_stages(generator: Generator, changed: dict[str, Any]) -> None:
    states: list[list[torch.Tensor]] = []
    for settings in ({}, changed):
        states.append([])
        generator(job(**settings), on_step=lambda step, latents: states[-1].append(latents.clone()))
    assert all(torch.equal(a, b) for a, b in zip(states[0][:4], states[1][:4], strict=True))
    assert states[0][-1].shape == states[1][-1].shape
    assert not torch.equal(states[0][-1], states[1][-1])


@pytest.mark.parametrize("upscaler", UPSCALERS)
@pytest.mark.parametrize("kind", list(PIPELINES))
def test_every_upscaler_makes_a_picture_of_its_own(generators: dict[str, Generator], kind: str, upscaler: str) -> None:
    made = [values(generators[kind](job(compose_upscaler=name))) for name in (upscaler, UPSCALERS[0])]
    assert made[0].shape == (128, 384, 3)
    assert torch.equal(*made) == (upscaler == UPSCALERS[0])


def test_regions_hold_in_both_stages(generator: Generator) -> None:
    states: list[list[torch.Tensor]] = []
    for settings in ({}, {"regions": REGION}):
        states.append([])
        generator(job(**settings), on_step=lambda step, latents: states[-1].append(latents.clone()))
    assert not torch.equal(states[0][3], states[1][3]), "the first stage reads the region's prompt"
    assert "1 region" in said(generator(job(regions=REGION)))
    asked: list[int] = []
    forward = generator.pipeline.unet.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        asked.append(int(kwargs["encoder_hidden_states"].shape[1]))
        return forward(*args, **kwargs)

    generator.pipeline.unet.forward = watched
    try:
        generator(job(regions=REGION))
    finally:
        del generator.pipeline.unet.forward
    assert set(asked) == {2 * 20}, "both stages carry two prompts of 20 tokens side by side"


@pytest.mark.parametrize("kind", list(PIPELINES))
def test_pictures_are_encoded_and_decoded_in_tiles(generators: dict[str, Generator], kind: str) -> None:
    plain = generators[kind](job(vae="off"))
    tiled = generators[kind](job(vae="on", vae_tile=64))
    assert (values(tiled) - values(plain)).abs().max() <= 2
    assert "VAE in tiles (exact)" in said(tiled)


def test_a_picture_that_cannot_be_encoded_as_a_whole_is_encoded_in_tiles(tmp_path: Path) -> None:
    generator = Generator(sd_pipeline(tmp_path))
    plain = generator(job())
    encoder = generator.pipeline.vae.encoder
    too_large = encoder.forward = out_of_memory_beyond(64, encoder.forward)
    again = generator(job())
    assert (values(again) - values(plain)).abs().max() <= 2
    assert "VAE in tiles (exact), 1 picture done again in tiles when out of memory" in said(again)
    assert encoder.forward is too_large


def test_it_can_be_stopped_in_either_stage_and_leaves_nothing(generator: Generator) -> None:
    class Stop(Exception):  # noqa: N818
        pass

    calls = last = 0

    def before_batch() -> None:
        nonlocal calls
        calls += 1
        if calls > last:
            raise Stop

    for last in (2, 9):  # noqa: B007 (read by before_batch)
        calls = 0
        with pytest.raises(Stop):
            generator(job(vae="on", vae_tile=64), before_batch=before_batch)
        assert "forward" not in vars(generator.pipeline.unet)
        assert "forward" not in vars(generator.pipeline.vae.encoder)
        assert "forward" not in vars(generator.pipeline.vae.decoder)


@pytest.mark.parametrize("method", ["MultiDiffusion", "FSTD", "SyncDiffusion", "ElasticDiffusion"])
def test_every_method_with_tiles_composes(generator: Generator, method: str) -> None:
    assert said(generator(job(method=method))).startswith("first pass: 1 tile of 96x32")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compose_upscaler": "ESRGAN"}, "compose_upscaler must be one of Lanczos, Nearest, Latent.*, got 'ESRGAN'"),
        ({"method": "direct"}, "compose must be False with the method direct, got True"),
        (
            {"method": "ElasticDiffusion", "compose_guidance": 1.0},
            "compose_guidance must be above 1 for ElasticDiffusion.*got 1",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_before_painting(
    generator: Generator, settings: dict[str, Any], message: str
) -> None:
    painted: list[int] = []
    with pytest.raises(SettingsError, match=message):
        generator(job(**settings), on_step=lambda step, latents: painted.append(step))
    assert not painted


def test_a_pipeline_that_cannot_go_on_from_a_picture_refuses_by_name(tmp_path: Path) -> None:
    generator = Generator(sd_pipeline(tmp_path))
    kind = type(generator.pipeline)
    generator.pipeline.__class__ = type("HomeMadePipeline", (kind,), {})
    with pytest.raises(SettingsError, match="compose must be False on this host, got True: it needs a second stage"):
        generator(job())


def test_what_has_no_effect_is_said(generator: Generator) -> None:
    assert "compose has no effect on a picture of about the model's own area" in said(generator(job((64, 96))))
    assert "compose_strength has no effect with compose off" in said(
        generator(job(compose=False, compose_strength=0.25))
    )


# Enlarging


def picture(pixels: torch.Tensor) -> Image.Image:
    return Image.fromarray(pixels.byte().numpy())


def test_what_sticks_out_is_cropped_in_the_middle() -> None:
    stripes = torch.zeros(10, 30, 3)
    stripes[:, :5], stripes[:, -5:], stripes[:, 5:-5] = 10, 20, 200
    large = enlarged_picture(picture(stripes), (40, 80), "Nearest")
    assert large.size == (80, 40)
    assert set(large.getdata()) == {(200, 200, 200)}


def test_a_ring_is_not_cropped_and_its_borders_still_meet() -> None:
    angle = torch.arange(30) * 2 * torch.pi / 30
    wave = (100 + 90 * angle.sin()).expand(10, 30)[..., None].expand(-1, -1, 3)
    large, open_ended = (
        torch.tensor(list(enlarged_picture(picture(wave), (40, 80), "Lanczos", (False, wraps)).getdata()))
        .reshape(40, 80, 3)
        .int()
        for wraps in (True, False)
    )
    inner = (large[:, 1:] - large[:, :-1]).abs().max()
    assert (large[:, 0] - large[:, -1]).abs().max() <= inner
    assert (open_ended[:, 0] - open_ended[:, -1]).abs().max() > 2 * inner


def test_latents_are_cropped_as_pictures_are() -> None:
    latents = torch.arange(12.0).expand(1, 4, 4, 12)
    large = enlarged_latents(latents, (8, 16), "Latent (nearest)")
    assert large.shape == (1, 4, 8, 16)
    assert large[0, 0, 0].tolist() == [float(value) for value in range(2, 10) for _ in range(2)]


def test_the_encoder_is_left_alone_where_nothing_is_asked_of_it(generator: Generator) -> None:
    vae = generator.pipeline.vae
    with diffusers_vae.encoding(
        vae, parse_settings({"enabled": True, "vae": "off"}), lambda done, total: None
    ) as coder:
        assert coder is None
        assert "forward" not in vars(vae.encoder)


@pytest.mark.parametrize("kind", list(PIPELINES))
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_fidelity_holds_the_second_stage_to_the_first(
    generators: dict[str, Generator], kind: str, prediction: str
) -> None:
    generator = generators[kind]
    own = generator.pipeline.scheduler
    generator.pipeline.scheduler = DDIMScheduler.from_config(own.config, prediction_type=prediction)
    ends: list[list[torch.Tensor]] = [[], []]
    try:
        for fidelity, seen in enumerate(ends):
            wanted = job(fidelity=float(fidelity), compose_strength=0.8, compose_upscaler="Latent")
            generator(wanted, on_step=lambda _, latents, seen=seen: seen.append(latents.clone()))
        assert generator.pipeline.scheduler.config.prediction_type == prediction
    finally:
        generator.pipeline.scheduler = own
    assert torch.equal(ends[0][3], ends[1][3])  # the first stage begins with no picture
    coarse = LowPass(generator.native * COARSE, (False, False))
    beginning = coarse(enlarged_latents(ends[0][3], (16, 48), "Latent"))
    apart = [float((coarse(seen[-1]) - beginning).abs().mean()) for seen in ends]
    assert apart[1] < 0.3 * apart[0]


def test_fidelity_without_a_first_stage_says_that_it_does_nothing(generator: Generator) -> None:
    assert "fidelity has no effect without a first stage" in said(generator(job(compose=False, fidelity=1.0)))
    assert "fidelity" not in said(generator(job(fidelity=1.0))).replace("fidelity=1", "")
