from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # the files beside this one, by their plain names

from client import Client  # noqa: E402
from shapes import all_shapes  # noqa: E402
from text_encoder import write_text_encoder  # noqa: E402
from webui import WebUI, home, python_of  # noqa: E402

EXTENSION = HERE.parents[1]
PROBE = HERE / "probe_extension"


@pytest.fixture(scope="session")
def webui_home() -> Path:
    if not (home() / "launch.py").exists():
        pytest.skip(f"no WebUI in {home()}: set WEBUI_DIR to the folder of an installed one")
    return home()


@pytest.fixture(scope="session")
def models(webui_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    text_encoder = write_text_encoder(tmp_path_factory.mktemp("text") / "encoder")
    for name, config in all_shapes(text_encoder).items():
        (folder / f"{name}.yaml").write_text(json.dumps(config), "utf-8")
    command = [python_of(webui_home), str(HERE / "make_checkpoints.py"), str(webui_home), str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr[-4000:]
    return folder


def _running(data: Path, models: Path, extensions: dict[str, Path]) -> Iterator[WebUI]:
    webui = WebUI(data, extensions, models)
    try:
        webui.start()
        yield webui
    finally:
        webui.stop()


@pytest.fixture(scope="session")
def webui(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    yield from _running(tmp_path_factory.mktemp("data"), models, {"instantas": EXTENSION, "probe": PROBE})


@pytest.fixture(scope="session")
def webui_without_extension(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    yield from _running(tmp_path_factory.mktemp("bare"), models, {"probe": PROBE})


@pytest.fixture(scope="session")
def client(webui: WebUI) -> Client:
    return webui.client
