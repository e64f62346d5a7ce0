"""When the autoencoder works in tiles, what an interrupt does, and that everything is put back: without a WebUI."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules import shared
from vae_models import ldm_autoencoder

from lib_instantas.hosts.a1111 import vae as glue
from lib_instantas.hosts.a1111.generation import end, generation_of

ON = {"enabled": True, "vae": "on", "vae_tile": 64}


@pytest.fixture
def autoencoder(model: Any) -> Any:
    model.first_stage_model = ldm_autoencoder(channels=(4, 4, 4, 4), groups=2)
    return model.first_stage_model


def replaced(autoencoder: Any) -> list[str]:
    return [name for name in ("encoder", "decoder") if "forward" in vars(getattr(autoencoder, name))]


def generation(make: Callable[..., Any], settings: dict[str, Any]) -> Any:
    p = make(settings)
    p.seeds = [5]
    p.scripts.call("process", p)
    return p


def test_sample_returns_the_pictures_the_host_would_decode(make: Callable[..., Any], autoencoder: Any) -> None:
    pictures = generation(make, ON).sample()
    latents = generation(make, {**ON, "vae": "off"}).sample()
    assert pictures.already_decoded
    assert float((pictures[0] - autoencoder.decoder(latents)[0]).abs().mean()) < 4e-6
    assert replaced(autoencoder) == []


@pytest.mark.parametrize(("free", "tiled"), [(10**12, False), (10**5, True), (None, False)])
def test_auto_looks_at_the_memory(
    make: Callable[..., Any], autoencoder: Any, monkeypatch: pytest.MonkeyPatch, free: int | None, tiled: bool
) -> None:
    monkeypatch.setattr(glue, "free_bytes", lambda device: free)
    p = generation(make, {"enabled": True})
    assert getattr(p.sample(), "already_decoded", False) == tiled
    assert ("VAE in tiles" in generation_of(p).report.done) == tiled


def test_other_decoders_of_the_host_are_left_alone(
    make: Callable[..., Any], autoencoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shared.opts.data, "sd_vae_decode_method", "TAESD")
    assert isinstance(generation(make, ON).sample(), torch.Tensor)


def test_an_interrupt_while_decoding_gives_a_rough_picture_at_once(
    make: Callable[..., Any], autoencoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def count(module: Any, inputs: Any) -> None:
        calls.append(module)
        shared.state.interrupted = True

    autoencoder.decoder.mid.block_1.conv1.register_forward_pre_hook(count)
    p = generation(make, ON)
    pictures = p.sample()
    assert len(calls) == 1
    assert pictures[0].shape == (3, 256, 512)
    assert pictures[0].std() > 0
    assert "interrupted" in generation_of(p).report.done
    assert replaced(autoencoder) == []


def test_everything_is_put_back_when_the_decoder_raises(make: Callable[..., Any], autoencoder: Any) -> None:
    def fail(module: Any, inputs: Any) -> None:
        raise ZeroDivisionError

    autoencoder.decoder.conv_out.register_forward_pre_hook(fail)
    with pytest.raises(ZeroDivisionError):
        generation(make, ON).sample()
    assert replaced(autoencoder) == []
    assert shared.state.textinfo is None


def test_a_model_loaded_in_the_middle_is_tiled_too(make: Callable[..., Any], model: Any, autoencoder: Any) -> None:
    other = ldm_autoencoder(channels=(4, 4, 4, 4), groups=2, seed=9)

    def load_other(count: int) -> None:
        model.first_stage_model = other

    model.before_call = load_other
    pictures = generation(make, ON).sample()
    assert pictures.already_decoded
    assert replaced(autoencoder) == replaced(other) == []


def test_switching_off_takes_the_hooks_from_a_used_object(make: Callable[..., Any], autoencoder: Any) -> None:
    p = generation(make, ON)
    own = type(p).__base__
    assert p.sample.__func__ is not own.sample
    end(p)
    assert type(p) is own
    assert vars(p).keys() == vars(make()).keys()


@pytest.mark.parametrize("settings", [{"vae": "on"}, {"wrap": "horizontal"}])
def test_an_autoencoder_of_another_kind_is_refused_where_tiles_were_asked_for(
    make: Callable[..., Any], model: Any, settings: dict[str, Any]
) -> None:
    model.first_stage_model = SimpleNamespace(decoder=torch.nn.Identity(), encoder=torch.nn.Identity())
    with pytest.raises(ValueError, match="vae must be off, and wrap off"):
        generation(make, {"enabled": True, **settings}).sample()


def test_an_autoencoder_of_another_kind_stays_as_it_is_by_default(make: Callable[..., Any], model: Any) -> None:
    model.first_stage_model = SimpleNamespace(decoder=torch.nn.Identity(), encoder=torch.nn.Identity())
    assert isinstance(generation(make, {"enabled": True}).sample(), torch.Tensor)
