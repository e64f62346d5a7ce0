"""Sampling as the user of a card does it, in half precision, on a card that is not there.

Nothing may mix main memory with the card, compute in float64, or, after the first evaluation, copy or read back.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_unets import CONTEXT_CHANNELS, UNETS

from benchmarks.device.copies import AVERAGING, EVALUATIONS, SCALECRAFTER, TILES, Sampling
from benchmarks.device.simulated_cuda import Record, SimulatedCuda
from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.fidelity import Fidelity
from lib_instantas.methods import Request, make_method
from lib_instantas.noise import reference_noise, style_alignment
from lib_instantas.redilation import Dispersion, redilated
from lib_instantas.settings import parse_settings

HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
PRECISIONS: dict[str, dict[str, Any]] = {
    "fp16": {"weights": HALF},
    "bf16": {"weights": BRAIN},
    "fp16 under autocast, fp32 latents": {"weights": HALF, "latents": SINGLE, "autocast": HALF},
    "fp32 under autocast to bf16": {"weights": SINGLE, "autocast": BRAIN},
}
EVERYTHING = (*TILES, *AVERAGING, *SCALECRAFTER)
METHODS = pytest.mark.parametrize("settings", EVERYTHING, ids=lambda values: " ".join(map(str, values.values())))
ONE_OF_EACH = (TILES[0], TILES[2], AVERAGING[-1])


def ask(kind: str) -> Any:
    """The UNet of a kind, asked with its own names."""

    def call(unet: Any, x: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        if kind == "diffusers":
            return unet(x, sigma, encoder_hidden_states=tokens).sample
        return unet(x, context=tokens)

    return call


def run(kind: str = "diffusers", **values: Any) -> tuple[Record, Record]:
    return Sampling(token_width=CONTEXT_CHANNELS, **values).count(UNETS[kind][0](), ask(kind))


def check(first: Record, later: Record) -> None:
    assert (first.mismatches, first.doubles) == ({}, {})
    assert (later.mismatches, later.doubles) == ({}, {})
    assert (later.copies, later.syncs) == ({}, {})


@METHODS
def test_every_method_in_half_precision(settings: dict[str, Any]) -> None:
    check(*run(settings=settings))


@pytest.mark.parametrize("wrap", ["off", "horizontal"])
def test_a_short_run_whose_tiles_fade_into_each_other(wrap: str) -> None:
    check(*run(settings={"wrap": wrap}, steps=6))


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=PRECISIONS)
@pytest.mark.parametrize("settings", ONE_OF_EACH, ids=lambda values: values["method"])
def test_every_precision(settings: dict[str, Any], precision: dict[str, Any]) -> None:
    check(*run(settings=settings, prompts=2, **precision))


@pytest.mark.parametrize("kind", UNETS)
@pytest.mark.parametrize(("prompts", "tokens"), [(2, (7, 7)), (5, (7, 7)), (2, (7, 9)), (5, (18, 9))], ids=str)
def test_regions_on_every_layout_of_a_unet(kind: str, prompts: int, tokens: tuple[int, int]) -> None:
    check(*run(kind, settings={"edges": "ring"}, prompts=prompts, tokens=tokens))


@METHODS
def test_regions_with_every_method(settings: dict[str, Any]) -> None:
    kind = "diffusers" if settings in SCALECRAFTER else "ldm"  # the other layout here has no blocks to disperse
    check(*run(kind, settings=settings, prompts=3, tokens=(7, 9)))


@pytest.mark.parametrize("tile_batch", [1, 3])
@pytest.mark.parametrize("pictures", [1, 3])
def test_batches_of_pictures_and_of_tiles(pictures: int, tile_batch: int) -> None:
    """Five tiles: three at once leave two. Those of MultiDiffusion stay where they are."""
    settings = {"method": "MultiDiffusion", "tile_batch": tile_batch}
    check(*run("ldm", settings=settings, prompts=3, pictures=pictures, canvas=(16, 48), later=1))


def test_what_a_run_needs_comes_to_the_card_once() -> None:
    """The shares of the regions in one copy, a weight map for each size of a tile."""
    first, _ = run(settings={"method": "Guided Fusion"}, prompts=5)
    assert len(first.copies) == 2
    assert sum(first.copies.values()) == 2
    assert not first.syncs
    assert first.copied_bytes == 4 * (5 * 16 * 32 + 16 * 16)


def test_all_plans_of_twindiffusion_come_to_the_card_before_its_first_evaluation() -> None:
    """Four in a run: fused and crossed in its first half, averaged and crossed in its second."""
    check(*run(settings={"method": "TwinDiffusion"}, canvas=(32, 64), steps=1 + EVALUATIONS))


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
def test_style_alignment_mixes_no_places_and_needs_no_double_precision(dtype: torch.dtype) -> None:
    request = Request((16, 40), 16, parse_settings({"style_alignment": 0.4}))
    alignment = style_alignment(request)
    assert alignment is not None
    with SimulatedCuda() as card:
        noise = card.empty(2, 4, 16, 40, dtype=dtype)
        aligned = alignment(noise, reference_noise(1, 4, alignment.tile))
    assert (aligned.dtype, aligned.shape, aligned.device) == (noise.dtype, noise.shape, noise.device)
    record = card.record
    assert (record.mismatches, record.doubles, record.syncs) == ({}, {}, {})
    assert sum(record.copies.values()) == 1, "the reference, before sampling begins"


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("closed", [(False, False), (False, True)])
def test_fidelity_copies_nothing_once_sampling_has_begun(dtype: torch.dtype, closed: tuple[bool, bool]) -> None:
    with SimulatedCuda() as card:
        fidelity = Fidelity(card.empty(2, 4, 16, 40, dtype=dtype), 1.0, 16, closed)
        card.record.clear()
        x, kept = card.empty(4, 4, 16, 40, dtype=dtype), card.empty(4)
        answers = [
            fidelity.held(x, [0, 1, 0, 1]),
            fidelity.held_noise(x, x, kept, [0, 1, 0, 1]),
            fidelity.held_velocity(x, x, kept, [0, 1, 0, 1]),
        ]
    assert {(answer.dtype, answer.shape, answer.device) for answer in answers} == {(x.dtype, x.shape, x.device)}
    record = card.record
    assert (record.mismatches, record.doubles, record.syncs, record.copies) == ({}, {}, {}, {})


def test_a_batch_that_does_not_fit_is_halved_on_a_card_too() -> None:
    asked = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked.append(len(x))
        if len(x) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return x

    method = make_method(Request((32, 64), 16, parse_settings({"tile_batch": 4})))
    with SimulatedCuda() as card:
        x = card.empty(1, 4, 32, 64)
        answer = TiledDenoiser(model, method, tile_batch=4)(x, card.empty(1))
    assert (answer.shape, answer.device) == (x.shape, x.device)
    assert max(asked[1:]) == 2


def test_the_weights_of_a_model_may_change_between_evaluations() -> None:
    """LoRA and weights stored in fp8 do so within `forward`; dispersed kernels are made of what is there now."""
    layer, x, dispersed = torch.nn.Conv2d(2, 2, 3, padding=1), torch.randn(1, 2, 16, 16), Dispersion()
    with torch.no_grad(), redilated([layer], 4, dispersed):
        once = layer(x)
        layer.weight.data = 2 * layer.weight.data
        layer.bias.data = 2 * layer.bias.data
        assert torch.allclose(layer(x), 2 * once, atol=1e-5)


def test_a_model_that_keeps_a_constant_in_main_memory_is_found_out() -> None:
    """These tests would see it."""

    class Forgetful(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.ones(x.shape)

    method = make_method(Request((16, 32), 16, parse_settings({})))
    with SimulatedCuda() as card:
        TiledDenoiser(lambda x, sigma: Forgetful()(x), method)(card.empty(1, 4, 16, 32), card.empty(1))
    assert card.record.mismatches
