"""The command that makes a picture checks everything beforehand, and loses none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_instantas.cli import generate as command
from lib_instantas.cli.main import main
from lib_instantas.cli.pictures import LONGEST, check_output, save
from lib_instantas.hosts.standalone import Generator, Result
from lib_instantas.settings import SettingsError

PICTURE = Result(Image.new("RGB", (64, 64), "teal"), "a fox\nSteps: 3")


@pytest.mark.parametrize("name", ["new/folders/x.png", "x.jpg", "x.jpeg", "x.webp", "X.PNG"])
def test_folders_are_made_and_the_infotext_is_kept(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    check_output(file, (64, 64))
    assert save(PICTURE, file) == file
    with Image.open(file) as image:
        assert image.size == (64, 64)
        comment = image.getexif().get_ifd(0x8769).get(0x9286, b"")
        assert "a fox" in (image.info.get("parameters") or comment.removeprefix(b"UNICODE\0").decode("utf-16-be"))


def test_what_cannot_be_written_is_refused_before_painting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for file, size, message in (
        (tmp_path / "x.gif", (64, 64), "output must end in one of .png, .jpg, .jpeg, .webp, got"),
        (tmp_path / "x", (64, 64), "output must end in one of"),
        (tmp_path / "x.webp", (64, LONGEST[".webp"] + 1), "output must be a .png, since .webp holds 16383 pixels"),
        (tmp_path / "file" / "x.png", (64, 64), "output must lie in a folder that can be written to"),
    ):
        with pytest.raises(SettingsError, match=message):
            check_output(file, size)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SettingsError, match=r"output must be a file, .* is a folder"):
        check_output(tmp_path / "folder.png", (64, 64))


def test_a_picture_is_never_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder goes away while the picture is painted."""
    kept = save(PICTURE, tmp_path / "gone" / "x.png")
    assert kept.exists()
    assert f"the picture is in {kept}" in capsys.readouterr().err


def test_the_command_checks_all_before_it_loads_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(*arguments: Any) -> Any:
        raise AssertionError("loaded a model")

    monkeypatch.setattr("lib_instantas.hosts.checkpoints.load_pipeline", loads)
    assert main(["generate", "a fox", "-o", str(tmp_path / "x.bmp")]) == 2
    assert "output must end in" in capsys.readouterr().err
    assert main(["generate", "a fox", "--sampler", "none"]) == 2
    assert "sampler must be one of" in capsys.readouterr().err


def test_the_command_writes_into_a_folder_that_was_not_there(
    tmp_path: Path, generator: Generator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib_instantas.hosts.checkpoints.load_pipeline", lambda model, device: generator.pipeline)
    file = tmp_path / "new" / "folder" / "x.png"
    arguments = ["generate", "a fox", "--size", "192x64", "--tile", "64", "--steps", "2", "-o", str(file)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(file)
    with Image.open(file) as image:
        assert image.size == (192, 64)
    assert command.EMBEDDED_MODEL.name == "small_world.safetensors"
