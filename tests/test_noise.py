"""Style alignment: tiles that resemble one reference, noise that stays noise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.methods import METHODS, NAMES, Request
from lib_instantas.noise import StyleAlignment, diffused, reference_noise, slerp, style_alignment
from lib_instantas.settings import SettingsError, parse_settings
from lib_instantas.style_reference import parse_reference, picture_values, reference_text
from lib_instantas.tiling import Axis

alphas = st.floats(0, 1)


def noise_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def alignment(canvas: tuple[int, int], alpha: float, native: int = 16, **values: Any) -> StyleAlignment | None:
    return style_alignment(Request(canvas, native, parse_settings({"style_alignment": alpha, **values})))


@given(alphas, st.integers(2, 50), st.integers(0, 5))
def test_slerp_of_unit_vectors_stays_on_the_sphere_and_divides_the_angle(alpha: float, length: int, seed: int) -> None:
    a, b = (torch.nn.functional.normalize(noise_of(1, length, seed=seed + k).double(), dim=1) for k in (0, 9))
    angle = math.acos(max(-1.0, min(1.0, float((a * b).sum()))))
    if not 0.01 < angle < math.pi - 0.01:
        return
    point = slerp(a, b, alpha)
    assert float(point.norm()) == pytest.approx(1, abs=1e-4)
    assert float((a * point).sum()) == pytest.approx(math.cos(alpha * angle), abs=1e-4)


@given(alphas)
def test_slerp_towards_itself_goes_nowhere(alpha: float) -> None:
    a = noise_of(2, 3, 4)
    torch.testing.assert_close(slerp(a, a, alpha), a)


def test_slerp_begins_at_the_first_and_ends_at_the_second() -> None:
    a, b = noise_of(2, 30), noise_of(2, 30, seed=1)
    torch.testing.assert_close(slerp(a, b, 0), a)
    torch.testing.assert_close(slerp(a, b, 1), b)


@hypothesis_settings(max_examples=40)
@given(alphas, st.integers(30, 200), st.integers(30, 200), st.sampled_from(["native", "fitted"]), st.integers(0, 99))
def test_aligned_noise_keeps_mean_and_variance_on_any_canvas(
    alpha: float, height: int, width: int, fit: str, seed: int
) -> None:
    align = alignment((height, width), alpha, 32, fit=fit)
    if align is None:
        return
    noise = noise_of(1, 4, height, width, seed=seed)
    aligned = align(noise, reference_noise(seed, 4, align.tile))
    # An aligned canvas holds as few as one tile's worth of independent values: six standard errors of that.
    independent = 4 * min(align.tile[0], height) * min(align.tile[1], width)
    assert abs(float(aligned.mean())) < 6 / math.sqrt(independent)
    assert abs(float(aligned.var()) - 1) < 6 * math.sqrt(2 / independent)


def test_over_many_seeds_every_pixel_has_unit_variance_and_does_not_depend_on_its_neighbour() -> None:
    align = alignment((16, 40), 0.4)
    assert align is not None
    reference = torch.cat([reference_noise(seed, 4, align.tile) for seed in range(4000)])
    aligned = align(noise_of(4000, 4, 16, 40), reference)
    variance = aligned.var(0)
    assert variance.mean() == pytest.approx(1, abs=0.01)
    assert (variance - 1).abs().max() < 6 * math.sqrt(2 / 4000)
    neighbours = (aligned[..., 1:] * aligned[..., :-1]).mean(0)
    assert neighbours.abs().max() < 6 / math.sqrt(4000)


@pytest.mark.parametrize("alpha", [0.25, 0.4, 0.75])
def test_two_tiles_are_as_alike_as_eq_15_says(alpha: float) -> None:
    """Perpendicular noises: the part along the reference is sin(alpha pi / 2), so two tiles correlate by its square."""
    align = alignment((64, 128), alpha, 64)
    assert align is not None
    aligned = align(noise_of(8, 4, 64, 128), reference_noise(1, 4, (64, 64)))
    left, right = aligned[..., :64].flatten(1), aligned[..., 64:].flatten(1)
    correlation = torch.cosine_similarity(left, right).mean()
    assert correlation == pytest.approx(math.sin(alpha * math.pi / 2) ** 2, abs=0.02)


def test_alpha_one_repeats_the_reference_and_alpha_zero_changes_no_bit() -> None:
    grid = (Axis((0, 16), 16), Axis((0, 16, 32, 40), 16))
    noise, reference = noise_of(2, 4, 16, 40), reference_noise(3, 4, (16, 16))
    repeated = StyleAlignment(1.0, grid)(noise, reference)
    torch.testing.assert_close(
        repeated, torch.cat([reference, reference, reference[..., :8]], -1).expand(2, -1, -1, -1)
    )
    assert StyleAlignment(0.0, grid)(noise, reference) is noise


def test_there_is_nothing_to_align_on_one_tile_or_when_it_is_off() -> None:
    assert alignment((16, 16), 0.4) is None
    assert alignment((16, 64), 0.0) is None


def test_the_reference_follows_its_seed_and_is_unrelated_to_the_pictures_own_noise() -> None:
    assert torch.equal(reference_noise(5, 4, (16, 16)), reference_noise(5, 4, (16, 16)))
    assert not torch.equal(reference_noise(5, 4, (16, 16)), reference_noise(6, 4, (16, 16)))
    own = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(5))
    similarity = torch.cosine_similarity(own.flatten(), reference_noise(5, 4, (64, 64)).flatten(), dim=0)
    assert abs(float(similarity)) < 0.04


def test_a_diffused_picture_has_the_variance_of_the_forward_process() -> None:
    latents = noise_of(1, 4, 64, 64) * 2
    values = diffused(latents, noise_of(1, 4, 64, 64, seed=1), signal=0.3)
    assert values.var() == pytest.approx(0.3 * 4 + 0.7, rel=0.05)


# The setting that names the reference


def test_the_reference_is_a_seed_a_picture_or_the_pictures_own() -> None:
    assert parse_reference("") == parse_reference("  ")
    assert parse_reference("42").seed == 42
    picture = parse_reference(reference_text(Image.new("RGB", (600, 300), (200, 30, 30)))).picture
    assert picture is not None
    assert picture.size == (256, 128)


def test_a_picture_fills_the_tile_and_keeps_its_centre() -> None:
    picture = Image.new("RGB", (300, 100), (0, 0, 0))
    picture.paste((255, 255, 255), (100, 0, 200, 100))
    values = picture_values(picture, (64, 64))
    assert values.shape == (1, 3, 64, 64)
    assert (values == 1).float().mean() > 0.9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a sunset", "style_reference must be empty, a seed, or a picture"),
        ("-1", "style_reference must be empty, a seed, or a picture"),
        ("data:image/png;base64,xx!", "style_reference must be base64"),
        ("data:image/png;base64,aGVsbG8=", "style_reference must be a PNG picture"),
        (reference_text(Image.new("RGB", (9, 9))).replace("webp", "png"), "style_reference must be a PNG picture"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_settings({"style_reference": text})


# On a diffusers pipeline


def picture(generator: Generator, seed: int = 3, **values: Any) -> tuple[torch.Tensor, str]:
    settings = parse_settings({"enabled": True, **values})
    seen: list[torch.Tensor] = []
    job = Job("a fox", (64, 192), settings, seed=seed, steps=2, sampler="Euler a")
    result = generator(job, on_step=lambda step, canvas: seen.append(canvas))
    return seen[-1], result.infotext


@pytest.mark.parametrize("method", [name for name in NAMES if "style_alignment" not in METHODS[name].without])
def test_it_works_with_every_method_and_can_be_made_again(generator: Generator, method: str) -> None:
    plain, _ = picture(generator, method=method)
    aligned, _ = picture(generator, method=method, style_alignment=0.4)
    assert not torch.allclose(plain, aligned, atol=0.01)
    assert torch.equal(aligned, picture(generator, method=method, style_alignment=0.4)[0])


def test_a_hair_of_alignment_is_all_but_the_picture_without(generator: Generator) -> None:
    """The noise that is drawn, and what a stochastic sampler draws after it, are the same as without alignment."""
    plain, _ = picture(generator)
    aligned, _ = picture(generator, style_alignment=1e-6)
    torch.testing.assert_close(aligned, plain, atol=1e-3, rtol=1e-3)


def test_with_the_engine_off_nothing_is_aligned(generator: Generator) -> None:
    plain, _ = picture(generator, enabled=False)
    assert torch.equal(plain, picture(generator, enabled=False, style_alignment=1.0)[0])


def test_seed_and_picture_references_differ_and_are_in_the_infotext(generator: Generator) -> None:
    red = reference_text(Image.new("RGB", (64, 64), (255, 0, 0)))
    own, _ = picture(generator, style_alignment=0.8)
    seeded, _ = picture(generator, style_alignment=0.8, style_reference="7")
    pictured, infotext = picture(generator, style_alignment=0.8, style_reference=red)
    assert not torch.equal(own, seeded)
    assert not torch.equal(own, pictured)
    assert red in infotext
