"""When the autoencoder works in tiles, what an interrupt does, and that everything is put back: without a WebUI."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules import shared
from modules.processing import process_images
from vae_models import ldm_autoencoder

from lib_instantas.hosts.a1111 import generation as generations
from lib_instantas.hosts.a1111 import vae as glue
from lib_instantas.hosts.a1111.generation import end, generation_of

ON = {"enabled": True, "vae": "on", "vae_tile": 64}


@pytest.fixture
def autoencoder(model: Any) -> Any:
    model.first_stage_model = ldm_autoencoder(channels=(4, 4, 4, 4), groups=2)
    return model.first_stage_model


def replaced(autoencoder: Any) -> list[str]:
    return [name for name in ("encoder", "decoder") if "forward" in vars(getattr(autoencoder, name))]


def out_of_memory_at(layer: torch.nn.Module, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Let a layer run out of memory where it is asked about a whole map; returns the sizes it was asked about."""
    asked: list[tuple[int, int]] = []

    def check(layer: Any, inputs: tuple[torch.Tensor]) -> None:
        asked.append(tuple(inputs[0].shape[-2:]))
        if asked[-1] == size:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    layer.register_forward_pre_hook(check)
    return asked


def decoded(p: Any, samples: Any) -> Any:
    """What the host decodes, or is given decoded, after sampling."""
    answered = SimpleNamespace(samples=samples)
    p.scripts.post_sample(p, answered)
    return answered.samples


def generation(make: Callable[..., Any], settings: dict[str, Any]) -> Any:
    p = make(settings)
    p.seeds = [5]
    p.scripts.call("process", p)
    return p


def test_the_pictures_are_those_the_host_would_decode(make: Callable[..., Any], autoencoder: Any) -> None:
    p = generation(make, ON)
    latents = p.sample()
    pictures = decoded(p, latents)
    assert pictures.already_decoded
    assert torch.equal(latents, generation(make, {**ON, "vae": "off"}).sample())
    assert float((pictures[0] - autoencoder.decoder(latents)[0]).abs().mean()) < 4e-6
    assert replaced(autoencoder) == []


@pytest.mark.parametrize(("free", "tiled"), [(10**12, False), (10**5, True), (None, False)])
def test_auto_looks_at_the_memory(
    make: Callable[..., Any], autoencoder: Any, monkeypatch: pytest.MonkeyPatch, free: int | None, tiled: bool
) -> None:
    monkeypatch.setattr(glue, "free_bytes", lambda device: free)
    asked: list[torch.Size] = []
    autoencoder.decoder.conv_out.register_forward_pre_hook(lambda layer, inputs: asked.append(inputs[0].shape[-2:]))
    processed = process_images(make({"enabled": True, "vae_tile": 64}))
    assert ((256, 512) not in asked) == tiled
    assert ("VAE in tiles" in processed.infotexts[0]) == tiled


def test_a_picture_that_fits_is_to_the_bit_the_hosts_own(make: Callable[..., Any], autoencoder: Any) -> None:
    mine, theirs = (process_images(make({"enabled": True, "vae": vae})) for vae in ("auto", "off"))
    assert torch.equal(mine.latents[0], theirs.latents[0])
    assert "VAE" not in mine.infotexts[0]


def test_a_picture_that_does_not_fit_after_all_is_decoded_again_in_tiles(
    make: Callable[..., Any], autoencoder: Any
) -> None:
    expected = process_images(make({"enabled": True, "vae": "off"}, n_iter=2)).latents
    asked = out_of_memory_at(autoencoder.decoder.conv_out, (256, 512))
    processed = process_images(make({"enabled": True, "vae_tile": 64}, batch_size=2))
    assert all(float((a - b).abs().mean()) < 4e-6 for a, b in zip(processed.latents, expected, strict=True))
    assert all("VAE in tiles (exact), 1 picture done again in tiles" in text for text in processed.infotexts)
    assert asked.count((256, 512)) == 1  # and not for the second picture of the batch
    assert replaced(autoencoder) == []


def test_what_is_encoded_before_sampling_is_told_of_every_picture(make: Callable[..., Any], autoencoder: Any) -> None:
    """In img2img the host encodes in `init`, once for all pictures."""
    picture = torch.rand(1, 3, 64, 128) * 2 - 1
    expected = autoencoder.encoder(picture)
    asked = out_of_memory_at(autoencoder.encoder.conv_in, (64, 128))
    p = make({"enabled": True, "vae_tile": 64}, n_iter=2, is_img2img=True, encodes=picture)
    processed = process_images(p)
    assert float((p.init_latent - expected).abs().mean()) < 4e-6
    note = "VAE encoder in tiles (exact), 1 picture done again in tiles when out of memory"
    assert all(note in text for text in processed.infotexts)
    assert asked.count((64, 128)) == 1
    assert note not in process_images(make({"enabled": True}, is_img2img=True)).infotexts[0]
    assert replaced(autoencoder) == []


@pytest.mark.parametrize("message", ["expected 4 channels", None])
def test_other_errors_of_the_decoder_are_the_hosts(
    make: Callable[..., Any], autoencoder: Any, message: str | None
) -> None:
    """Named as they are, also where the host would take an AttributeError for latents."""

    def fail(module: Any, inputs: Any) -> None:
        raise RuntimeError(message) if message else AttributeError("no such attribute")

    autoencoder.decoder.conv_out.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match=message or "no such attribute"):
        process_images(make({"enabled": True}))
    assert replaced(autoencoder) == []


def test_scripts_that_look_at_the_latents_still_see_them(make: Callable[..., Any], autoencoder: Any) -> None:
    """Soft inpainting reads from them how far each pixel has moved."""
    p, seen = make(ON), []
    before = SimpleNamespace(post_sample=lambda p, answered: seen.append(answered.samples), args_from=0, args_to=0)
    before.title, before.process, before.postprocess_image = lambda: "Soft", lambda *a: None, lambda *a: None
    before.postprocess = lambda *a: None
    p.scripts.alwayson_scripts.insert(0, before)
    processed = process_images(p)
    assert isinstance(seen[0], torch.Tensor)
    assert "VAE in tiles" in processed.infotexts[0]


def test_a_host_that_hands_no_samples_over_is_given_pictures(
    make: Callable[..., Any], autoencoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "_hands_over_samples", lambda: False)
    assert generation(make, ON).sample().already_decoded


def test_a_copy_without_the_script_is_given_pictures(make: Callable[..., Any], autoencoder: Any) -> None:
    """Another extension samples a copy of the object with scripts of its own choice."""
    p = copy(generation(make, ON))
    p.scripts = SimpleNamespace(alwayson_scripts=[])
    assert p.sample().already_decoded


def test_other_decoders_of_the_host_are_left_alone(
    make: Callable[..., Any], autoencoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shared.opts.data, "sd_vae_decode_method", "TAESD")
    p = generation(make, ON)
    assert isinstance(decoded(p, p.sample()), torch.Tensor)


def test_an_interrupt_while_decoding_gives_a_rough_picture_at_once(
    make: Callable[..., Any], autoencoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def count(module: Any, inputs: Any) -> None:
        calls.append(module)
        shared.state.interrupted = True

    autoencoder.decoder.mid.block_1.conv1.register_forward_pre_hook(count)
    p = generation(make, ON)
    pictures = decoded(p, p.sample())
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
        process_images(make(ON))
    assert replaced(autoencoder) == []
    assert shared.state.textinfo is None


def test_a_model_loaded_in_the_middle_is_tiled_too(make: Callable[..., Any], model: Any, autoencoder: Any) -> None:
    other = ldm_autoencoder(channels=(4, 4, 4, 4), groups=2, seed=9)

    def load_other(count: int) -> None:
        model.first_stage_model = other

    model.before_call = load_other
    p = generation(make, ON)
    pictures = decoded(p, p.sample())
    assert pictures.already_decoded
    assert float((pictures[0] - other.decoder(p.sample())[0]).abs().mean()) < 4e-6
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
    p = generation(make, {"enabled": True})
    assert isinstance(decoded(p, p.sample()), torch.Tensor)
