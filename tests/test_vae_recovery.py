"""Faults are injected into one layer at a time; the picture is still the right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from half_precision import half_precision
from torch import Tensor, nn
from vae_models import diffusers_autoencoder, ldm_autoencoder

from lib_instantas.vae import Options, Recovery, TiledCoder, decoder_layers, tiled, tiled_decoder, tiled_encoder
from lib_instantas.vae.network import untiled_bytes
from lib_instantas.vae.workspace import MODES

DECODER = ldm_autoencoder(channels=(8, 16), seed=1).decoder
ENCODER = ldm_autoencoder(channels=(8, 16), seed=1).encoder
LATENTS = torch.randn(1, 4, 40, 48, generator=torch.Generator().manual_seed(0))
PICTURE = torch.rand(1, 3, 96, 80, generator=torch.Generator().manual_seed(0)) * 2 - 1


def layers(coder: nn.Module) -> list[str]:
    return [name for name, module in coder.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def faulty(
    monkeypatch: pytest.MonkeyPatch, layer: nn.Module, call: int, fault: Callable[[Tensor], Tensor]
) -> list[int]:
    """Let the n-th call of a layer's forward go through `fault`; returns the list of calls."""
    original, calls = layer.forward, []

    def forward(x: Tensor) -> Tensor:
        calls.append(len(calls))
        y = original(x)
        return fault(y) if len(calls) - 1 == call else y

    monkeypatch.setattr(layer, "forward", forward)
    return calls


def with_nan(y: Tensor) -> Tensor:
    y = y.clone()
    y[..., -1, -1] = float("nan")
    y[..., y.shape[-2] // 2, y.shape[-1] // 2] = float("inf")
    return y


def out_of_memory(y: Tensor) -> Tensor:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def check(coder: TiledCoder, x: Tensor, expected: Tensor, tolerance: float) -> Recovery:
    seen: list[tuple[int, int]] = []
    options = Options(tile=64, progress=lambda *now: seen.append(now))
    coder = TiledCoder(coder.layers, options)
    result = coder(x)
    assert float((result.float() - expected).abs().mean()) < tolerance
    assert seen[-1][0] == seen[-1][1]
    return coder.recovery


@pytest.mark.parametrize("name", layers(DECODER))
def test_a_tile_with_nan_in_half_precision_is_redone_in_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = ldm_autoencoder(channels=(8, 16), seed=1).decoder
    expected = decoder(LATENTS)
    decoder.bfloat16()
    weights = {key: value.data_ptr() for key, value in decoder.named_parameters()}
    faulty(monkeypatch, decoder.get_submodule(name), 0, with_nan)
    recovery = check(tiled_decoder(decoder), LATENTS.bfloat16(), expected, 0.02)
    assert recovery.redone >= 1
    assert recovery.unresolved == 0
    assert weights == {key: value.data_ptr() for key, value in decoder.named_parameters()}
    assert {p.dtype for p in decoder.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("name", layers(DECODER))
@pytest.mark.parametrize("call", [0, 3])
def test_running_out_of_memory_halves_the_decoder_tile(name: str, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = ldm_autoencoder(channels=(8, 16), seed=1).decoder
    expected = decoder(LATENTS)
    calls = faulty(monkeypatch, decoder.get_submodule(name), call, out_of_memory)
    recovery = check(tiled_decoder(decoder), LATENTS, expected, 4e-6)
    assert recovery.halved == (1 if len(calls) > call else 0)
    assert call or recovery.halved == 1


@pytest.mark.parametrize("name", layers(ENCODER))
@pytest.mark.parametrize("fault", [with_nan, out_of_memory])
def test_the_encoder_recovers_too(
    name: str, fault: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = ldm_autoencoder(channels=(8, 16), seed=1).encoder
    expected = encoder(PICTURE)
    faulty(monkeypatch, encoder.get_submodule(name), 0, fault)
    recovery = check(tiled_encoder(encoder), PICTURE, expected, 4e-6)
    assert recovery.redone + recovery.halved >= 1


def test_values_beyond_half_precision_are_kept_in_float32() -> None:
    """As in SDXL's first autoencoder, whose activations exceed 65504."""
    decoder = diffusers_autoencoder(channels=(8, 16)).decoder
    scale = 3e5
    decoder.up_blocks[1].resnets[2].conv2.weight.mul_(scale)
    decoder.up_blocks[1].resnets[2].conv2.bias.mul_(scale)
    z = LATENTS[..., :16, :16]
    expected = decoder(z)
    decoder.half()
    coder = tiled_decoder(decoder, Options(tile=64))
    with half_precision():
        assert not decoder(z.half()).isfinite().all()
        result = coder(z.half())
    assert coder.recovery.redone > 0
    assert float((result.float() - expected).abs().mean()) < 5e-3


def test_nan_that_float32_does_not_cure_is_reported_and_handed_on(caplog: pytest.LogCaptureFixture) -> None:
    decoder = diffusers_autoencoder(channels=(8, 16)).decoder
    z = LATENTS[..., :16, :16].clone()
    z[0, 0, 0, 0] = float("nan")
    coder = tiled_decoder(decoder, Options(tile=64))
    assert coder(z).isnan().any()
    assert coder.recovery.unresolved > 0
    assert "NaN or Inf" in caplog.text


def test_memory_that_is_never_enough_raises_the_devices_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder: Any = ldm_autoencoder(channels=(8, 16)).decoder
    monkeypatch.setattr(decoder.conv_out, "forward", out_of_memory)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        tiled_decoder(decoder)(LATENTS)


def test_other_errors_are_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder: Any = ldm_autoencoder(channels=(8, 16)).decoder

    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("expected 4 channels")

    monkeypatch.setattr(decoder.conv_out, "forward", broken)
    with pytest.raises(RuntimeError, match="expected 4 channels"):
        tiled_decoder(decoder)(LATENTS)


class Whole:
    """A decoder's own forward that runs out of memory with more latent pixels than a limit, or fails otherwise."""

    def __init__(self, limit: int, error: Exception) -> None:
        self.limit, self.error = limit, error
        self.asked: list[int] = []

    def __call__(self, z: Tensor) -> Tensor:
        self.asked.append(z.numel())
        if z.numel() > self.limit:
            raise self.error
        answer: Tensor = DECODER(z)
        return answer


def untiled_first(whole: Callable[..., Tensor]) -> TiledCoder:
    return TiledCoder(decoder_layers(DECODER), Options(tile=64), whole)


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_what_does_not_fit_as_a_whole_is_done_again_in_tiles(error: Exception) -> None:
    whole = Whole(LATENTS.numel() - 1, error)
    decode = untiled_first(whole)
    assert float((decode(LATENTS) - DECODER(LATENTS)).abs().mean()) < 4e-6
    assert str(decode.recovery) == "1 picture done again in tiles when out of memory"


def test_nothing_as_large_is_tried_as_a_whole_again() -> None:
    whole = Whole(LATENTS.numel() - 1, torch.cuda.OutOfMemoryError("CUDA out of memory"))
    decode = untiled_first(whole)
    for z in (LATENTS, LATENTS, torch.cat([LATENTS] * 2), LATENTS[..., :16]):
        decode(z)
    assert whole.asked == [LATENTS.numel(), LATENTS[..., :16].numel()]
    assert decode.recovery.tiled == 1


def test_what_fits_is_to_the_bit_what_the_module_answers() -> None:
    decode = untiled_first(DECODER.forward)
    assert torch.equal(decode(LATENTS), DECODER(LATENTS))
    assert decode.recovery == Recovery()


@pytest.mark.parametrize("error", [RuntimeError("expected 4 channels"), ValueError("out of memory"), KeyError("z")])
def test_what_is_not_about_memory_is_the_callers(error: Exception) -> None:
    decode = untiled_first(Whole(0, error))
    with pytest.raises(type(error)):
        decode(LATENTS)
    assert decode.recovery == Recovery()


@pytest.mark.parametrize("tiled_coder", [tiled_decoder, tiled_encoder])
def test_short_of_main_memory_the_fast_mode_is_taken_and_said(
    monkeypatch: pytest.MonkeyPatch, tiled_coder: Callable[..., TiledCoder]
) -> None:
    model = ldm_autoencoder(channels=(8, 8, 8, 16), seed=1)
    coder, shape = (
        (model.decoder, (1, 4, 24, 32)) if tiled_coder is tiled_decoder else (model.encoder, (1, 3, 192, 256))
    )
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact, fast = (tiled_coder(coder, Options(64, mode)) for mode in MODES)
    right, near = exact(x), fast(x)
    assert not torch.equal(right, near)

    monkeypatch.setattr("lib_instantas.vae.coder.free_bytes", lambda device: 2**20)
    assert torch.equal(exact(x), near)
    assert exact.mode == "fast"
    assert "not exact, which needs 0.0 GB of main memory where 0.0 are free" in str(exact.recovery)
    monkeypatch.setattr("lib_instantas.vae.coder.free_bytes", lambda device: None)
    assert torch.equal(exact(x), right)
    assert (exact.mode, exact.recovery) == ("exact", Recovery())


def test_short_of_main_memory_nothing_changes_where_the_fast_mode_saves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib_instantas.vae.coder.free_bytes", lambda device: 2**10)
    decode = tiled_decoder(DECODER, Options(64))
    decode(LATENTS)
    assert (decode.mode, decode.recovery) == ("exact", Recovery())


@pytest.mark.parametrize(("room", "asked"), [(2.4, 0), (2.6, 1)])
def test_in_main_memory_a_picture_is_tried_as_a_whole_only_with_much_room(
    monkeypatch: pytest.MonkeyPatch, room: float, asked: int
) -> None:
    """A card says that its memory is full; a program that takes too much main memory is ended."""
    whole = Whole(LATENTS.numel(), RuntimeError())
    decode = untiled_first(whole)
    needed = untiled_bytes(decode.layers, (40, 48), 4, 4)
    monkeypatch.setattr("lib_instantas.vae.coder.free_bytes", lambda device: int(room * needed))
    decode(LATENTS)
    assert len(whole.asked) == asked


def test_tiles_that_were_asked_for_are_taken_without_trying() -> None:
    model = ldm_autoencoder(channels=(8, 16), seed=1)
    whole = model.decoder.forward = Whole(10**9, RuntimeError())
    with tiled(model, Options(tile=64)):
        assert float((model.decoder(LATENTS) - DECODER(LATENTS)).abs().mean()) < 4e-6
    assert whole.asked == []


def test_the_account_of_recoveries_reads_as_a_sentence() -> None:
    assert str(Recovery(redone=2, halved=1)) == (
        "2 tiles redone in float32 after NaN or Inf, 1 tile halved when out of memory"
    )
    assert str(Recovery()) == ""
