"""The tiled autoencoder answers as the untiled one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from half_precision import half_precision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from vae_models import diffusers_autoencoder, ldm_autoencoder

from lib_instantas.vae import Interrupted, Options, UnsupportedAutoencoder, layers, tiled, tiled_decoder, tiled_encoder
from lib_instantas.vae.fast import fused
from lib_instantas.vae.layers import Attention
from lib_instantas.vae.maps import grid
from lib_instantas.vae.network import decoder_layers, map_bytes

LAYOUTS: dict[str, Callable[[], Any]] = {"diffusers": diffusers_autoencoder, "ldm": ldm_autoencoder}


@pytest.fixture(params=LAYOUTS)
def autoencoder(request: pytest.FixtureRequest) -> Any:
    return LAYOUTS[request.param]()


def latents(height: int, width: int, batch: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randn(batch, 4, height, width, generator=generator).to(dtype)


def picture(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.rand(1, 3, height, width, generator=generator) * 2 - 1


def mean_error(a: Tensor, b: Tensor) -> float:
    """Of pictures in -1..1, as if they were in 0..1."""
    return float((a - b).abs().mean()) / 2


@pytest.mark.parametrize("size", [(16, 16), (24, 9), (7, 31), (1, 20)], ids=str)
@pytest.mark.parametrize("tile", [64, 100])
def test_tiled_decoding_is_the_untiled_one(autoencoder: Any, size: tuple[int, int], tile: int) -> None:
    z = latents(*size, batch=2)
    decoder = autoencoder.decoder
    expected = decoder(z)
    assert expected.std() > 0.05
    assert mean_error(tiled_decoder(decoder, Options(tile=tile))(z), expected) < 2e-6


def test_levels_may_be_without_a_list_of_attentions() -> None:
    """As those of SD 3 in the WebUI are."""
    autoencoder, z, x = ldm_autoencoder(), latents(16, 24), picture(65, 77)
    for level in (*autoencoder.decoder.up, *autoencoder.encoder.down):
        del level.attn
    options = Options(tile=64)
    assert mean_error(tiled_decoder(autoencoder.decoder, options)(z), autoencoder.decoder(z)) < 2e-6
    assert mean_error(tiled_encoder(autoencoder.encoder, options)(x), autoencoder.encoder(x)) < 2e-6


@pytest.mark.parametrize("size", [(128, 128), (65, 200), (131, 77), (8, 96)], ids=str)
def test_tiled_encoding_is_the_untiled_one(autoencoder: Any, size: tuple[int, int]) -> None:
    encoder = autoencoder.encoder
    x = picture(*size)
    expected = encoder(x)
    assert mean_error(tiled_encoder(encoder, Options(tile=64))(x), expected) < 2e-6


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), tile=st.integers(64, 200))
def test_any_size_decodes_as_untiled(height: int, width: int, tile: int) -> None:
    decoder = ldm_autoencoder(channels=(4, 4), groups=2).decoder
    z = latents(height, width)
    assert mean_error(tiled_decoder(decoder, Options(tile=tile))(z), decoder(z)) < 2e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_no_further_from_float32_than_untiled_half_precision(dtype: torch.dtype) -> None:
    decoder = diffusers_autoencoder().decoder
    z = latents(12, 20)
    reference = decoder(z)
    decoder.to(dtype)
    with half_precision():
        untiled = mean_error(decoder(z.to(dtype)).float(), reference)
        result = tiled_decoder(decoder, Options(tile=64))(z.to(dtype))
    assert result.dtype == dtype
    assert mean_error(result.float(), reference) < 1.1 * untiled


def test_a_large_mean_does_not_cost_the_variance(autoencoder: Any) -> None:
    decoder = autoencoder.decoder
    decoder.conv_in.bias.add_(300.0)
    z = latents(12, 12)
    assert mean_error(tiled_decoder(decoder, Options(tile=64))(z), decoder(z)) < 1e-4


@pytest.mark.parametrize("wrap", [(True, False), (False, True), (True, True)], ids=["vertical", "horizontal", "both"])
def test_a_wrapped_axis_has_no_border(autoencoder: Any, wrap: tuple[bool, bool]) -> None:
    z = latents(10, 14)
    shift = (4 * wrap[0], 6 * wrap[1])
    decode = tiled_decoder(autoencoder.decoder, Options(tile=64, wrap=wrap))
    rolled = decode(z.roll(shift, (-2, -1)))
    assert mean_error(rolled, decode(z).roll((8 * shift[0], 8 * shift[1]), (-2, -1))) < 2e-6
    x = picture(80, 112)
    encode = tiled_encoder(autoencoder.encoder, Options(tile=64, wrap=wrap))
    rolled = encode(x.roll((8 * shift[0], 8 * shift[1]), (-2, -1)))
    assert mean_error(rolled, encode(x).roll(shift, (-2, -1))) < 2e-6


@pytest.mark.parametrize("wrap", [(True, False), (False, True)], ids=["vertical", "horizontal"])
def test_the_other_axis_keeps_its_border(autoencoder: Any, wrap: tuple[bool, bool]) -> None:
    z = latents(10, 14)
    shift = (4 * wrap[1], 6 * wrap[0])
    decode = tiled_decoder(autoencoder.decoder, Options(tile=64, wrap=wrap))
    rolled = decode(z.roll(shift, (-2, -1)))
    assert mean_error(rolled, decode(z).roll((8 * shift[0], 8 * shift[1]), (-2, -1))) > 1e-3


def test_circular_convolutions_of_the_host_are_kept(autoencoder: Any) -> None:
    """The WebUI's Tiling checkbox sets the padding mode of every convolution of the model."""
    for module in autoencoder.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"
    z, x = latents(9, 20), picture(72, 160)
    assert mean_error(tiled_decoder(autoencoder.decoder, Options(tile=64))(z), autoencoder.decoder(z)) < 2e-6
    assert mean_error(tiled_encoder(autoencoder.encoder, Options(tile=64))(x), autoencoder.encoder(x)) < 2e-6


def test_layers_are_called_through_their_patched_forward(autoencoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """LoRA replaces the forward of the class."""
    original = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: original(self, x) * 1.25)
    z = latents(9, 20)
    assert mean_error(tiled_decoder(autoencoder.decoder, Options(tile=64))(z), autoencoder.decoder(z)) < 3e-6


def test_the_whole_autoencoder_works_in_tiles_inside_the_with_only() -> None:
    model = diffusers_autoencoder()
    z, x = latents(9, 20), picture(72, 160)
    image, moments = model.decode(z).sample, model.encode(x).latent_dist.parameters
    seen: list[int] = []
    with tiled(model, Options(tile=64, progress=lambda done, total: seen.append(done))):
        assert mean_error(model.decode(z).sample, image) < 2e-6
        after_decoding = len(seen)
        assert mean_error(model.encode(x).latent_dist.parameters, moments) < 2e-6
    assert 0 < after_decoding < len(seen)
    assert torch.equal(model.decode(z).sample, image)


def test_nothing_is_left_behind_after_an_exception() -> None:
    model = diffusers_autoencoder()
    own = model.decoder.forward
    model.encoder.forward = marked = lambda x: x  # an instance may have its own forward already
    with pytest.raises(ZeroDivisionError), tiled(model):
        1 / 0  # noqa: B018
    assert "forward" not in model.decoder.__dict__
    assert model.decoder.forward == own
    assert model.encoder.forward is marked


def test_progress_rises_to_the_true_total(autoencoder: Any) -> None:
    seen: list[tuple[int, int]] = []
    tiled_decoder(autoencoder.decoder, Options(tile=64, progress=lambda *now: seen.append(now)))(latents(16, 16))
    done, totals = zip(*seen, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(set(done))
    assert done[-1] == totals[0]


def test_an_interrupt_acts_between_tiles_and_stops_at_once(autoencoder: Any) -> None:
    tiles: list[int] = []
    options = Options(tile=64, progress=lambda done, _: tiles.append(done), interrupted=lambda: len(tiles) == 5)
    with pytest.raises(Interrupted):
        tiled_decoder(autoencoder.decoder, options)(latents(16, 16))
    assert len(tiles) == 5


def test_attention_on_a_processor_goes_block_by_block(autoencoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # A picture of 4096x4096 has 262,144 places that all look at each other: minutes in which nothing else can be done.
    blocks, z = 8, latents(16, 16)
    monkeypatch.setattr(layers, "CPU_QUERIES", 16 * 16 // blocks)
    expected = autoencoder.decoder(z)
    steps: list[int] = []
    options = Options(tile=4096, progress=lambda done, _: steps.append(done))
    assert mean_error(tiled_decoder(autoencoder.decoder, options)(z), expected) < 3e-6
    assert len(steps) == len(decoder_layers(autoencoder.decoder)) - 1 + blocks


def test_a_look_at_everything_counts_in_the_work() -> None:
    attention = next(layer for layer in decoder_layers(ldm_autoencoder().decoder) if isinstance(layer, Attention))
    small, large = (attention.multiplications(size, size) for size in ((8, 8), (16, 16)))
    pairs = 2 * attention.channels * 64**2
    assert large - 4 * small == (16 - 4) * pairs


def test_other_networks_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedAutoencoder, match="Sequential"):
        tiled_decoder(nn.Sequential(nn.Conv2d(4, 3, 1)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tile": 32}, "vae_tile must be between 64 and 4096, got 32"),
        ({"mode": "sloppy"}, "vae_mode must be one of exact, fast, got 'sloppy'"),
        ({"store": "tape"}, "vae_store must be one of auto, device, main, got 'tape'"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options(**wrong)


@settings(deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), area=st.integers(1, 900))
def test_a_grid_covers_every_pixel_once_with_tiles_of_bounded_area(height: int, width: int, area: int) -> None:
    boxes = grid((height, width), area)
    covered = torch.zeros(height, width, dtype=torch.int)
    for box in boxes:
        box.of(covered).add_(1)
        assert 0 < box.area <= area
    assert torch.equal(covered, torch.ones_like(covered))


def structured_latents(height: int, width: int) -> Tensor:
    """Latents whose contrast changes over the picture, so that its parts have other statistics than the whole."""
    generator = torch.Generator().manual_seed(3)
    coarse = nn.functional.interpolate(torch.randn(1, 4, 4, 6, generator=generator), (height, width), mode="bilinear")
    return coarse + 0.3 * latents(height, width)


def test_the_fast_mode_is_near_and_nearer_than_statistics_per_tile(autoencoder: Any) -> None:
    z = structured_latents(32, 48)
    decoder = autoencoder.decoder
    expected = decoder(z)
    fast = tiled_decoder(decoder, Options(tile=128, mode="fast"))(z)
    columns = [decoder(z[..., x : x + 16]) for x in range(0, 48, 16)]
    assert 1e-6 < mean_error(fast, expected) < mean_error(torch.cat(columns, dim=-1), expected)


def test_the_fast_mode_is_exact_where_the_reduced_picture_is_the_whole(autoencoder: Any) -> None:
    z = latents(12, 20)
    wrap = (True, True)
    exact = tiled_decoder(autoencoder.decoder, Options(tile=2048, wrap=wrap))(z)
    fast = tiled_decoder(autoencoder.decoder, Options(tile=2048, mode="fast", wrap=wrap))(z)
    assert mean_error(fast, exact) < 2e-6


def test_tiles_do_not_show_in_the_fast_mode_on_closed_axes(autoencoder: Any) -> None:
    """They reach over the border of their maps; statistics of both sizes are of the same reduced picture."""
    z = latents(24, 40)
    small, large = (Options(tile=tile, mode="fast", wrap=(True, True)) for tile in (64, 80))
    assert mean_error(tiled_decoder(autoencoder.decoder, small)(z), tiled_decoder(autoencoder.decoder, large)(z)) < 2e-6


def test_the_fast_mode_keeps_nothing_of_the_widest_stages() -> None:
    size, itemsize = (64, 64), 4
    passes = decoder_layers(ldm_autoencoder().decoder)
    picture = 3 * 512 * 512 * itemsize
    assert map_bytes(passes, size, itemsize) > 5 * picture
    assert map_bytes(fused(passes, size), size, itemsize) < 1.7 * picture


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_encoding_in_both_modes_reports_all_of_its_work(autoencoder: Any, mode: str) -> None:
    seen: list[tuple[int, int]] = []
    options = Options(tile=64, mode=mode, progress=lambda *now: seen.append(now))
    tiled_encoder(autoencoder.encoder, options)(picture(99, 130))
    assert seen[-1][0] == seen[-1][1]
