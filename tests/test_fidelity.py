"""Fidelity: low frequencies become those of the reference, all else stays, whatever the model predicts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lib_instantas.fidelity import COARSE, Fidelity, LowPass

NATIVE = 32
OPEN = (False, False)


def latents(seed: int, batch: int = 1, size: tuple[int, int] = (40, 64)) -> Tensor:
    return torch.randn(batch, 4, *size, generator=torch.Generator().manual_seed(seed))


def low(values: Tensor, closed: tuple[bool, bool] = OPEN) -> Tensor:
    return LowPass(NATIVE * COARSE, closed)(values)


@pytest.mark.parametrize("closed", [OPEN, (True, True), (False, True)])
@pytest.mark.parametrize("size", [(40, 64), (8, 200)])
def test_flat_colour_passes_and_stripes_do_not(size: tuple[int, int], closed: tuple[bool, bool]) -> None:
    flat = torch.full((1, 4, *size), 0.7)
    stripes = torch.ones(1, 4, *size)
    stripes[..., ::2] = -1
    torch.testing.assert_close(low(flat, closed), flat)
    assert low(stripes, closed)[..., 16:-16].abs().max() < 1e-3


def test_a_closed_axis_goes_on_at_its_other_end() -> None:
    values = latents(0)
    turned = values.roll(20, dims=-1)
    torch.testing.assert_close(low(turned, (False, True)), low(values, (False, True)).roll(20, dims=-1))
    assert not torch.allclose(low(turned), low(values).roll(20, dims=-1))


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_what_is_missing_of_the_low_frequencies_is_added_and_nothing_else(strength: float) -> None:
    reference, predicted = latents(1), latents(2)
    held = Fidelity(reference, strength, NATIVE, OPEN).held(predicted, [0])
    torch.testing.assert_close(held - predicted, strength * (low(reference) - low(predicted)))
    assert (held - predicted).abs().max() > 0.01


def test_each_row_is_held_to_its_own_picture() -> None:
    references, predicted = latents(1, batch=2), latents(2, batch=4)
    held = Fidelity(references, 1.0, NATIVE, OPEN).held(predicted, [0, 0, 1, 1])
    for row, picture in enumerate((0, 0, 1, 1)):
        alone = Fidelity(references[picture : picture + 1], 1.0, NATIVE, OPEN)
        torch.testing.assert_close(held[row], alone.held(predicted[row : row + 1], [0])[0])
    assert not torch.equal(low(held)[0], low(held)[2])


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_predictions_of_noise_and_velocity_are_held_as_those_of_the_picture_are(kept: float) -> None:
    reference, clean, noise = latents(1), latents(2).double(), latents(3).double()
    fidelity = Fidelity(reference, 0.8, NATIVE, OPEN)
    share = torch.tensor([kept], dtype=torch.float64)
    x = kept**0.5 * clean + (1 - kept) ** 0.5 * noise
    velocity = kept**0.5 * noise - (1 - kept) ** 0.5 * clean
    wanted = fidelity.held(clean, [0])

    of_noise = (x - (1 - kept) ** 0.5 * fidelity.held_noise(x, noise, share, [0])) / kept**0.5
    of_velocity = kept**0.5 * x - (1 - kept) ** 0.5 * fidelity.held_velocity(x, velocity, share, [0])
    torch.testing.assert_close(of_noise, wanted, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(of_velocity, wanted, atol=1e-5, rtol=1e-4)


def test_precision_stays_as_it_was() -> None:
    fidelity = Fidelity(latents(1).half(), 1.0, NATIVE, OPEN)
    x, kept = latents(2).half(), torch.tensor([0.5])
    assert fidelity.held(x, [0]).dtype == torch.float16
    assert fidelity.held_noise(x, x, kept, [0]).dtype == torch.float16
    assert fidelity.held_velocity(x, x, kept, [0]).dtype == torch.float16


def test_a_canvas_of_another_size_is_not_the_references() -> None:
    fidelity = Fidelity(latents(1, batch=2), 1.0, NATIVE, OPEN)
    assert fidelity.is_of(latents(2, batch=6))
    assert not fidelity.is_of(latents(2, size=(40, 72)))
