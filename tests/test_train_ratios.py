"""`train-ratios`: the folder is checked, a killed training goes on, and others read the file."""

from __future__ import annotations

import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_pipelines import PIPELINES, sd_pipeline
from tiny_unets import CONTEXT_CHANNELS

from lib_instantas.cli.main import main
from lib_instantas.hosts.diffusers_lora import read_lora
from lib_instantas.settings import SettingsError
from lib_instantas.training.pictures import examples_in
from lib_instantas.training.ratios import PAPER, nearest_size, sizes_of
from lib_instantas.training.trainer import Plan, Trainer, learning_rate

SIZES = sizes_of(PAPER, 8)
TRAINING = pytest.mark.skipif(
    not find_spec("peft"), reason="training needs peft, which cannot be imported beside the WebUI's accelerate 0.21"
)


def write(folder: Path, name: str, size: tuple[int, int], caption: str | None = "a fox") -> None:
    folder.mkdir(exist_ok=True)
    pixels = random.Random(name).randbytes(3 * size[0] * size[1])
    Image.frombytes("RGB", size, pixels).save(folder / name)
    if caption is not None:
        (folder / name).with_suffix(".txt").write_text(caption)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        write(tmp_path / "images", f"tall{number}.png", (70, 140))
        write(tmp_path / "images", f"wide{number}.jpg", (200, 100))
    return tmp_path / "images"


# Ratios


def test_the_papers_nine_ratios_have_the_models_own_area() -> None:
    sizes = sizes_of(PAPER, 64)
    assert (512, 512) in sizes
    assert len(sizes) == 7, "16:9 and 2:1 are one size in steps of 64 pixels"
    assert len(sizes_of(PAPER, 128)) == 9
    assert all(0.85 < height * width / 512**2 < 1.2 for height, width in sizes)
    assert all(side % 64 == 0 for size in sizes for side in size)


@pytest.mark.parametrize(
    ("picture", "size"), [((600, 600), (512, 512)), ((1000, 250), (704, 384)), ((1, 9), (384, 704))]
)
def test_a_picture_belongs_to_the_nearest_ratio(picture: tuple[int, int], size: tuple[int, int]) -> None:
    assert nearest_size(picture, sizes_of(PAPER, 64)) == size


@pytest.mark.parametrize("ratio", ["4", "1:0", "0:1", "9:1", "1:9", "a:b", "-1:2"])
def test_a_ratio_that_is_none_is_named(ratio: str) -> None:
    with pytest.raises(SettingsError, match=f"ratios must be like 1:4, between 1:8 and 8:1 .*got '{ratio}'"):
        sizes_of([ratio], 64)


# The folder


def test_everything_wrong_with_a_folder_is_named_at_once(folder: Path) -> None:
    (folder / "broken.png").write_text("not a picture")
    write(folder, "mute.png", (100, 100), None)
    write(folder, "blank.png", (100, 100), " \n")
    write(folder, "small.png", (30, 30))
    with pytest.raises(SettingsError) as refused:
        examples_in(folder, SIZES)
    for words in (
        "broken.png: it cannot be read",
        "mute.png: it has no caption, mute.txt is missing",
        "blank.png: its caption blank.txt is empty",
        "small.png: it has 30x30 pixels, too few for its ratio's 64x64",
    ):
        assert words in str(refused.value)
    assert "tall0" not in str(refused.value)


def test_too_few_pictures_and_one_ratio_are_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(8):
        with pytest.raises(SettingsError, match=f"there must be at least 8 pictures .*, there are {number}"):
            examples_in(tmp_path / "images", SIZES)
        write(tmp_path / "images", f"{number}.png", (70, 70))
    with pytest.raises(SettingsError, match="all pictures are nearest to one ratio, that of 64x64"):
        examples_in(tmp_path / "images", SIZES)


def test_pictures_come_at_their_size_and_with_their_caption(folder: Path) -> None:
    examples = examples_in(folder, SIZES)
    assert len(examples) == 12
    assert {example.size for example in examples} == {(96, 64), (64, 96)}
    for example in examples:
        assert example.picture().size == example.size[::-1]
        assert example.caption == "a fox"


# The training


def tiny(kind: str, tmp_path: Path) -> Any:
    return PIPELINES[kind](tmp_path)


def trainer(pipeline: Any, folder: Path, state: Path, **plan: Any) -> Trainer:
    examples = examples_in(folder, SIZES)
    torch.manual_seed(0)
    latents = [torch.randn(4, e.size[0] // 8, e.size[1] // 8).half() for e in examples]
    return Trainer(
        pipeline, examples, latents, Plan(**{"steps": 4, "batch": 3, "rank": 2, "rate": 1e-2, **plan}), state
    )


@TRAINING
@pytest.mark.parametrize("kind", list(PIPELINES))
def test_batches_have_one_size_and_the_loss_falls(kind: str, folder: Path, tmp_path: Path) -> None:
    training = trainer(tiny(kind, tmp_path), folder, tmp_path / "s.pt", steps=30)
    seen: list[tuple[int, ...]] = []
    training.pipeline.unet.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape)))
    losses: list[float] = []
    training.run(lambda step, loss: losses.append(loss))
    assert set(seen) == {(3, 4, 12, 8), (3, 4, 8, 12)}
    assert sum(losses[-10:]) < sum(losses[:10])


@TRAINING
def test_only_the_lora_learns(folder: Path, tmp_path: Path) -> None:
    pipeline = sd_pipeline(tmp_path)
    before = {name: weight.clone() for name, weight in pipeline.unet.state_dict().items()}
    trainer(pipeline, folder, tmp_path / "s.pt").run(lambda step, loss: None)
    after = {name.replace(".base_layer", ""): weight for name, weight in pipeline.unet.state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


@TRAINING
def test_a_training_that_was_killed_goes_on_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818
        pass

    def kill(step: int, loss: float) -> None:
        if step == 2:
            raise Killed

    whole = trainer(sd_pipeline(tmp_path), folder, tmp_path / "whole.pt", save_every=0)
    whole.run(lambda step, loss: None)
    first = trainer(sd_pipeline(tmp_path), folder, tmp_path / "s.pt", save_every=0)
    with pytest.raises(Killed):
        first.run(kill)
    steps: list[int] = []
    second = trainer(sd_pipeline(tmp_path), folder, tmp_path / "s.pt", save_every=0)
    second.run(lambda step, loss: steps.append(step))
    assert steps == [3, 4]
    for name, weight in whole.kohya().items():
        torch.testing.assert_close(second.kohya()[name], weight)


@TRAINING
def test_the_state_of_another_training_is_refused(folder: Path, tmp_path: Path) -> None:
    trainer(sd_pipeline(tmp_path), folder, tmp_path / "s.pt").save()
    with pytest.raises(SettingsError, match=r"state must be of the same training: .* had another rank, seed"):
        trainer(sd_pipeline(tmp_path), folder, tmp_path / "s.pt", rank=4, seed=1)


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    rates = [learning_rate(done / 100) for done in range(101)]
    assert max(rates) == max(rates[:10])
    assert rates[0] < 0.1
    assert rates[-1] < 1e-6
    assert rates[10:] == sorted(rates[10:], reverse=True)


# What others read


def usual_sd(tmp_path: Path) -> Any:
    """As deep as SD 1.5: four levels of two blocks."""
    from diffusers import UNet2DConditionModel

    pipeline = sd_pipeline(tmp_path)
    torch.manual_seed(0)
    pipeline.unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        cross_attention_dim=CONTEXT_CHANNELS,
        attention_head_dim=4,
    )
    return pipeline


def wide_sdxl(tmp_path: Path) -> Any:
    """As deep as SDXL: three levels of two blocks, attention on the lower two."""
    from diffusers import UNet2DConditionModel

    pipeline = PIPELINES["sdxl"](tmp_path)
    config = dict(pipeline.unet.config) | {
        "block_out_channels": (8, 16, 16),
        "layers_per_block": 2,
        "transformer_layers_per_block": (1, 2, 2),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    }
    torch.manual_seed(0)
    pipeline.unet = UNet2DConditionModel.from_config(config)
    return pipeline


@TRAINING
@pytest.mark.parametrize("make", [usual_sd, wide_sdxl])
def test_diffusers_reads_the_file_and_predicts_what_was_trained(make: Any, folder: Path, tmp_path: Path) -> None:
    training = trainer(make(tmp_path), folder, tmp_path / "s.pt", steps=1, rate=0.5)
    training.run(lambda step, loss: None)
    file = tmp_path / "ratio.safetensors"
    training.write(file)
    pipeline, own = make(tmp_path), make(tmp_path)
    x, context = torch.randn(2, 4, 8, 16), torch.randn(2, 20, CONTEXT_CHANNELS)
    more = {"text_embeds": torch.randn(2, CONTEXT_CHANNELS), "time_ids": torch.ones(2, 6)}

    @torch.no_grad()
    def ask(unet: Any) -> torch.Tensor:
        unet.eval()
        return unet(x, torch.tensor(500), encoder_hidden_states=context, added_cond_kwargs=more).sample

    plain = ask(pipeline.unet)
    pipeline.load_lora_weights(str(file))
    loaded = {name.split(".lora_A")[0] for name in pipeline.unet.state_dict() if "lora_A" in name}
    assert loaded == set(training.layers)
    with read_lora(file, own.unet, "compose_lora").on(own.unet):
        ours = ask(own.unet)
    trained = ask(training.accelerator.unwrap_model(training.unet, keep_fp32_wrapper=False))
    torch.testing.assert_close(ask(pipeline.unet), ours, atol=2e-3, rtol=2e-3)
    assert (ours - plain).abs().max() > 10 * (trained - ours).abs().max()
    assert set(load_file(file)) >= {f"{key}.alpha" for key in (k.split(".")[0] for k in load_file(file))}


# The command


@TRAINING
def test_the_command_trains_writes_and_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib_instantas.hosts.checkpoints.load_pipeline", lambda model, device: sd_pipeline(tmp_path))
    output = tmp_path / "new" / "ratio.safetensors"
    arguments = ["train-ratios", "--model", "x", "--images", str(folder), "--rank", "2", "--batch", "2"]
    arguments += ["--steps", "2", "--sheet-every", "1", "-o", str(output)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(output)
    read_lora(output, sd_pipeline(tmp_path).unet, "compose_lora")
    sheets = sorted((tmp_path / "new" / "ratio.samples").glob("*.jpg"))
    assert [sheet.name for sheet in sheets] == ["step-000001.jpg", "step-000002.jpg"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (64 + 96, 96)
    written = load_file(output)
    assert main(arguments) == 0
    assert "going on after 2 steps" in capsys.readouterr().err
    assert all(torch.equal(weight, written[name]) for name, weight in load_file(output).items())


@TRAINING
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.pt"], "output must end in .safetensors, got 'x.pt'"),
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--rate", "0"], "rate must be above 0"),
        (["--ratios", "1:99"], "ratios must be like 1:4"),
        (["--native", "100"], "native must be a multiple of 64 pixels, got 100"),
        (["--images", "/nowhere"], "images must be a folder, got '/nowhere'"),
    ],
)
def test_what_is_wrong_is_named_before_a_model_is_loaded(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["train-ratios", "--model", "/nowhere", "--images", str(folder), "-o", "x.safetensors", *arguments]
    assert main(given) == 2
    assert message in capsys.readouterr().err


def test_what_is_not_installed_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("peft", "accelerate") else name)
    assert main(["train-ratios", "--model", "x", "--images", str(folder), "-o", "x.safetensors"]) == 2
    assert "train-ratios needs accelerate, peft: pip install 'instantas[train]'" in capsys.readouterr().err
