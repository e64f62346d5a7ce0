"""The standalone program: every setting acts on a pipeline, or is refused before anything is painted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from half_precision import half_precision
from tiny_pipelines import PIPELINES, said, sd_pipeline, values
from vae_models import out_of_memory_beyond

from lib_instantas.cli.pictures import save
from lib_instantas.hosts import diffusers_vae
from lib_instantas.hosts.checkpoints import load_pipeline, weights_of
from lib_instantas.hosts.samplers import SAMPLERS, evaluations_of, use_sampler
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.panorama import XMP_KEY, sphere_xmp
from lib_instantas.settings import SettingsError, parse_settings
from lib_instantas.vae import coder


def job(size: tuple[int, int] = (64, 192), sampler: str = "DDIM", steps: int = 3, **settings: Any) -> Job:
    values = {"enabled": True, "tile": 64, **settings}
    return Job("a fox", size, parse_settings(values), seed=3, steps=steps, sampler=sampler)


@pytest.mark.parametrize("kind", list(PIPELINES))
@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_the_picture_is_decoded_in_tiles_where_that_is_asked_for(
    generators: dict[str, Generator], kind: str, mode: str
) -> None:
    plain = generators[kind](job(vae="off"))
    tiled = generators[kind](job(vae="on", vae_tile=64, vae_mode=mode))
    assert (values(tiled) - values(plain)).abs().max() <= (1 if mode == "exact" else 60)
    assert f"VAE in tiles ({mode})" in said(tiled)
    assert "VAE" not in said(plain)


def test_a_half_precision_autoencoder_that_has_to_be_widened_is_decoded_in_tiles(tmp_path: Path) -> None:
    """The pipeline of SDXL widens its autoencoder just before it decodes."""
    half = Generator(PIPELINES["sdxl"](tmp_path).to(torch.float16))
    with half_precision():
        tiled, plain = (half(job(steps=1, vae=vae, vae_tile=64)) for vae in ("on", "off"))
    assert (values(tiled) - values(plain)).abs().max() <= 2


def test_auto_takes_tiles_where_memory_is_short(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, tiles in ((10**12, False), (10**5, True), (None, False)):
        monkeypatch.setattr(coder, "free_bytes", lambda device, free=free: free)
        assert ("VAE in tiles" in said(generator(job()))) == tiles


def test_a_picture_that_does_not_fit_after_all_is_decoded_again_in_tiles(tmp_path: Path) -> None:
    generator = Generator(sd_pipeline(tmp_path))
    plain = generator(job())
    decoder = generator.pipeline.vae.decoder
    too_large = decoder.forward = out_of_memory_beyond(8, decoder.forward)
    again = generator(job())
    assert (values(again) - values(plain)).abs().max() <= 1
    assert "VAE in tiles (exact), 1 picture done again in tiles when out of memory" in said(again)
    assert decoder.forward is too_large


def test_a_picture_can_be_stopped_between_tiles_of_the_autoencoder(generator: Generator) -> None:
    calls, last = 0, 10**9

    class Stop(Exception):  # noqa: N818
        pass

    def before_batch() -> None:
        nonlocal calls
        calls += 1
        if calls > last:
            raise Stop

    generator(job(), before_batch=before_batch)
    last, calls = calls, 0
    with pytest.raises(Stop):
        generator(job(vae="on", vae_tile=64), before_batch=before_batch)
    assert "forward" not in vars(generator.pipeline.vae.decoder)
    assert "forward" not in vars(generator.pipeline.unet)


@pytest.mark.parametrize("method", ["InstantAS", "MultiDiffusion", "FSTD", "ScaleCrafter", "direct"])
def test_a_rolled_beginning_gives_the_rolled_picture(method: str, tmp_path: Path) -> None:
    """On a ring no place is special to the autoencoder: what it decodes from rolled latents is the picture, rolled."""
    generator = Generator(sd_pipeline(tmp_path))
    settings = job(method=method, wrap="both").settings
    vae = generator.pipeline.vae
    latents = torch.randn(1, 4, 8, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), diffusers_vae.decoding(vae, settings, lambda done, total: None):
        whole = vae.decode(latents).sample
        rolled = vae.decode(latents.roll((3, 7), (2, 3))).sample
    torch.testing.assert_close(rolled, whole.roll((24, 56), (2, 3)), atol=1e-4, rtol=1e-4)
    assert "VAE in tiles" in said(generator(job(method=method, wrap="both")))


@pytest.mark.parametrize("size", [(67, 192), (64, 199), (67, 189)])
def test_a_picture_closed_on_itself_has_its_exact_size(generator: Generator, size: tuple[int, int]) -> None:
    assert generator(job(size, wrap="both")).image.size == size[::-1]


def test_a_360_picture_says_so_in_its_file(generator: Generator, tmp_path: Path) -> None:
    result = generator(job((64, 128), wrap="horizontal"))
    for name in ("sphere.png", "sphere.jpg"):
        save(result, tmp_path / name)
        assert sphere_xmp((64, 128)).encode() in (tmp_path / name).read_bytes()
    plain = generator(job((64, 128), wrap="both"))
    assert XMP_KEY not in plain.image.info


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_the_number_of_evaluations_is_the_samplers_own(generator: Generator, sampler: str, steps: int) -> None:
    use_sampler(generator.pipeline, sampler, steps)
    generator.pipeline.scheduler.set_timesteps(steps)
    assert len(generator.pipeline.scheduler.timesteps) == evaluations_of(sampler, steps)


@pytest.mark.parametrize("sampler", ["Heun", "Euler"])
def test_evaluations_are_counted_in_progress_metadata_and_context(generator: Generator, sampler: str) -> None:
    wanted = job(sampler=sampler, steps=10)
    evaluations = 19 if sampler == "Heun" else 10
    seen: list[int] = []
    widths: list[int] = []
    hook = generator.pipeline.unet.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append((args[0] if args else kwargs["sample"]).shape[-1]), with_kwargs=True
    )
    calls: list[int] = []
    plain_forward = generator.pipeline.unet.forward

    def counted(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        calls.append(int(x.shape[-1]))
        return plain_forward(x, *args, **kwargs)

    generator.pipeline.unet.forward = counted
    try:
        result = generator(wanted, on_step=lambda step, latents: seen.append(step))
    finally:
        del generator.pipeline.unet.forward
        hook.remove()
    assert generator.evaluations(wanted) == evaluations
    assert seen == list(range(1, evaluations + 1))
    assert f"{3 * evaluations} UNet evaluations" in said(result)
    with_context = max(calls)
    assert calls[0] < with_context == calls[-1], "the last evaluations see more, and not those of the first half"
    assert max(calls[: len(calls) // 2]) < with_context


@pytest.mark.parametrize(("sampler", "differs"), [("DDIM", False), ("Heun", True)])
def test_a_held_grid_moves_between_the_steps_of_the_sampler(generator: Generator, sampler: str, differs: bool) -> None:
    ring = {"schedule": "cyclic", "gamma": 0.25, "edges": "ring", "fit": "native"}
    moving, held = (generator(job(sampler=sampler, hold=hold, **ring)).image.tobytes() for hold in (False, True))
    assert (moving != held) == differs


def test_steps_that_a_sampler_cannot_make_are_named(generator: Generator) -> None:
    with pytest.raises(SettingsError, match="steps cannot be 900 with the sampler LCM"):
        generator(job(sampler="LCM", steps=900))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Job("", (64, 64), parse_settings({}), sampler="Karras"), "sampler must be one of DDIM, .* got 'Karras'"),
        (Job("", (64, 64), parse_settings({}), steps=0), "steps must be at least 1, got 0"),
        (Job("", (64, 64), parse_settings({}), seed=-1), "seed must be between 0 and .*, got -1"),
        (Job("", (0, 64), parse_settings({})), "size must be between 64 and 32768 pixels on each side, got 64x0"),
        (
            Job("", (64, 192), parse_settings({"enabled": True, "method": "ElasticDiffusion"}), guidance=1.0),
            "guidance must be above 1 for ElasticDiffusion.*got 1",
        ),
    ],
)
def test_a_job_that_cannot_be_done_is_refused(generator: Generator, wrong: Job, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        generator(wrong)


def test_an_autoencoder_that_cannot_tile_refuses_wrap_and_decodes_as_it_is(tmp_path: Path) -> None:
    generator = Generator(sd_pipeline(tmp_path))
    plain = values(generator(job(vae="off")))
    generator.pipeline.vae.decoder.up_blocks[0].resnets[0].norm1 = torch.nn.Identity()
    with pytest.raises(SettingsError, match="wrap must be off on this host, got 'both': it needs an autoencoder"):
        generator(job(wrap="both"))
    with pytest.raises(SettingsError, match="vae must be auto or off on this host, got 'on'"):
        generator(job(vae="on"))
    assert values(generator(job())).shape == plain.shape


def test_what_has_no_effect_is_said_in_the_metadata(generator: Generator) -> None:
    assert "gamma has no effect with schedule golden" in said(generator(job(gamma=0.5)))
    assert "no effect" not in said(generator(job()))


def test_direct_says_what_it_did(generator: Generator) -> None:
    assert said(generator(job(method="direct", tile=0))).startswith("1 tile of 192x64, 3 UNet evaluations")


def test_a_small_ring_is_not_off(generator: Generator) -> None:
    assert said(generator(job((64, 64), wrap="horizontal", steps=9))).startswith("1 tile of 64x64, 9 UNet evaluations")
    assert said(generator(job((64, 64)))) == "off: the image fits one tile"


def test_graphics_cards_get_half_precision_and_processors_do_not() -> None:
    assert weights_of(torch.device("cuda")) == weights_of(torch.device("cuda", 1)) == torch.float16
    assert weights_of(torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("device", ["nonsense", "cuda:77"])
def test_a_device_that_is_not_there_is_named(tmp_path: Path, device: str) -> None:
    with pytest.raises(SettingsError, match=f"device must be one that torch has here .*, got '{device}'"):
        load_pipeline(tmp_path, device)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.safetensors"
    file.write_text("not a model")
    with pytest.raises(SettingsError, match=r"model must be a Stable Diffusion model, .*notes.safetensors could not"):
        load_pipeline(file)
