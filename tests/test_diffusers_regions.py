import pytest
import torch
from tiny_pipelines import PIPELINES

from lib_instantas.hosts.diffusers_regions import prompts_for
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.regions import RegionSetup
from lib_instantas.settings import parse_settings

LEFT = {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}
WHOLE = {"type": "rectangle", "x": 0, "y": 0, "width": 1, "height": 1}
KINDS = pytest.mark.parametrize("kind", list(PIPELINES))


@pytest.fixture
def generators(tmp_path):
    return {kind: Generator(make(tmp_path)) for kind, make in PIPELINES.items()}


def latents(generator, prompt, negative_prompt="", size=(64, 64), **settings):
    """The sampled canvas [4, H, W]; tiles of 8 x 8 latent pixels."""
    wanted = {"enabled": True, "tile": 64, "fit": "native", **settings}
    job = Job(prompt, size, parse_settings(wanted), negative_prompt, seed=3, steps=2, sampler="DDIM")
    seen = []
    generator(job, on_step=lambda step, canvas: seen.append(canvas))
    return seen[-1][0]


@KINDS
def test_a_region_of_the_main_prompts_changes_nothing(generators, kind):
    region = {"shape": LEFT, "prompt": "a cat", "feather": 0.3}
    plain = latents(generators[kind], "a cat", "bad", size=(64, 128), edges="elastic")
    regional = latents(generators[kind], "a cat", "bad", (64, 128), edges="elastic", regions=[region])
    assert torch.allclose(regional, plain, atol=1e-4)


@KINDS
def test_a_region_over_everything_is_its_prompts_picture(generators, kind):
    generator = generators[kind]
    if kind == "sdxl":
        keep_pooled_conditioning_of_the_main_prompt(generator.pipeline)
    region = {"shape": WHOLE, "prompt": "two dogs", "negative_prompt": "cats"}
    regional = latents(generator, "a fox", "bad", regions=[region])
    assert torch.allclose(regional, latents(generator, "two dogs", "cats"), atol=1e-4)
    assert not torch.allclose(regional, latents(generator, "a fox", "bad"), atol=1e-2)


def keep_pooled_conditioning_of_the_main_prompt(pipeline):
    encode = pipeline.encode_prompt
    pooled = {**dict.fromkeys(("a fox", "two dogs"), 0.3), **dict.fromkeys(("bad", "cats"), 0.1)}

    def encode_with_one_pooling(prompt=None, negative_prompt=None, **others):
        positive, negative, pooled_positive, pooled_negative = encode(
            prompt=prompt, negative_prompt=negative_prompt, **others
        )
        if prompt is not None:
            pooled_positive = pooled_positive * 0 + pooled[prompt]
            pooled_negative = pooled_negative * 0 + pooled[negative_prompt]
        return positive, negative, pooled_positive, pooled_negative

    pipeline.encode_prompt = encode_with_one_pooling


@KINDS
def test_a_region_leaves_the_rest_of_the_picture_to_the_main_prompt(generators, kind):
    """With tiles that do not move nor see beyond what they keep, the tile beside the region's never hears of it."""
    still = {"size": (64, 128), "gamma": 0.0, "schedule": "cyclic", "edges": "clamp", "fit": "native", "tile_batch": 1}
    plain = latents(generators[kind], "a fox", **still)
    regional = latents(generators[kind], "a fox", **still, regions=[{"shape": LEFT, "prompt": "two dogs"}])
    assert torch.equal(regional[..., 8:], plain[..., 8:])
    assert not torch.allclose(regional[..., :8], plain[..., :8], atol=1e-2)


def test_without_active_regions_the_prompts_are_left_to_the_pipeline(generators):
    prompts = prompts_for(generators["sd"].pipeline, RegionSetup(), "a fox", "bad")
    assert prompts.arguments == {"prompt": "a fox", "negative_prompt": "bad"}
    assert prompts.parts == ()


def test_regions_are_off_with_the_extension(generators):
    regions = [{"shape": WHOLE, "prompt": "two dogs"}]
    plain = latents(generators["sd"], "a fox", enabled=False)
    assert torch.equal(latents(generators["sd"], "a fox", enabled=False, regions=regions), plain)
