"""Tiles divided among processes: real ones, started by torchrun, make the picture that one makes alone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from process_cases import CASES, job
from tiny_pipelines import sd_pipeline

from lib_instantas.cli.main import main
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.standalone import Generator
from lib_instantas.processes import ALONE, Kind, Processes, started_by_torchrun

TESTS = Path(__file__).resolve().parent
TIMEOUT = 600


def torchrun(processes: int, *command: object) -> subprocess.CompletedProcess[str]:
    """On a port that the system chooses."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes, *command]
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [*map(str, run)], capture_output=True, text=True, timeout=TIMEOUT, env=environment, cwd=TESTS.parent
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """As in every process that torchrun starts, so that sums are taken in the same order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    sd_pipeline(tmp_path_factory.mktemp("words")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def together(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    torchrun(2, TESTS / "process_worker.py", model, folder)
    return folder


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


@dataclass
class Alone:
    """What one process makes, and how often it asks the UNet."""

    image: Image.Image
    calls: int


@pytest.fixture(scope="module")
def alone(model: Path) -> dict[str, Alone]:
    generator = Generator(load_pipeline(model, "cpu"))
    calls: list[int] = []
    generator.pipeline.unet.conv_in.register_forward_pre_hook(lambda *_: calls.append(1))
    made = {}
    for name, settings in CASES.items():
        calls.clear()
        image = generator(job(**settings)).image
        made[name] = Alone(image, len(calls))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_make_the_picture_of_one_to_the_bit(alone: dict[str, Alone], together: Path, name: str) -> None:
    with Image.open(together / f"{name}.png") as shared:
        assert np.array_equal(pixels(alone[name].image), pixels(shared))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["defaults", "two axes", "averaging", "ring"])
def test_each_process_evaluates_about_half_of_the_tiles(alone: dict[str, Alone], together: Path, name: str) -> None:
    first, second = map(int, (together / f"{name}.txt").read_text().split())
    assert first + second == alone[name].calls
    assert abs(first - second) <= job().steps


@pytest.mark.slow
def test_the_command_writes_one_picture_with_tiles_in_batches(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Batches of one process are divided: what a UNet is asked together differs, and with it the last bits."""
    asked = ["generate", "a fox", "--model", model, "--size", "320x64", "--steps", 2, "--tile", 64]
    command = [*map(str, asked)]
    done = torchrun(2, "-m", "lib_instantas", *command, "-o", tmp_path / "together.png")
    assert done.stdout.split() == [str(tmp_path / "together.png")]
    assert main([*command, "-o", str(tmp_path / "alone.png")]) == 0
    with Image.open(tmp_path / "together.png") as shared, Image.open(tmp_path / "alone.png") as alone:
        difference = np.abs(pixels(shared).astype(int) - pixels(alone))
    assert difference.max() <= 1


# How the work is divided


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 9))
def test_every_item_has_one_owner_and_nobody_has_much_more_to_do(costs: list[int], processes: int) -> None:
    items = list(enumerate(costs))
    shares = Processes(0, processes).divided(items, lambda item: item[1])
    assert sorted(item for share in shares for item in share) == items
    assert all(share == sorted(share) for share in shares)
    loads = [sum(cost for _, cost in share) for share in shares]
    assert max(loads) <= sum(costs) / processes + max(costs)


@given(st.lists(st.integers(1, 9), max_size=20), st.integers(2, 5))
def test_all_processes_come_to_the_same_answer(costs: list[int], processes: int) -> None:
    answers = [Processes(rank, processes).divided(costs, float) for rank in range(processes)]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_tensors_have_room_for_whatever_follows_them(dtype: torch.dtype) -> None:
    kind = Kind.of(torch.zeros(3, 5, dtype=dtype))
    assert kind.bytes == torch.zeros(3, 5, dtype=dtype).numel() * dtype.itemsize
    assert kind.room >= kind.bytes
    assert kind.room % 16 == 0


def test_without_torchrun_nobody_is_asked() -> None:
    with started_by_torchrun("cpu") as (processes, device):
        assert (processes, device) == (ALONE, "cpu")


def test_devices_that_cannot_exchange_anything_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    refused = "device must be one of cpu, cuda, xpu with several processes, got 'mps'"
    with pytest.raises(SettingsError, match=refused), started_by_torchrun("mps"):
        pass
