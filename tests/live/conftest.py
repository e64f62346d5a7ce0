from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from client import Client
from deviations import missing_need, why_not_expected
from outcomes import Outcomes
from shapes import all_shapes
from text_encoder import write_text_encoder
from webui import EXTENSION, PROBE, WebUI, home, python_of, running

HERE = Path(__file__).resolve().parent
WHERE_IT_REFUSES = "test_refusing_host.py"


@pytest.fixture(scope="session")
def webui_home() -> Path:
    if not (home() / "launch.py").exists():
        pytest.skip(f"no WebUI in {home()}: set WEBUI_DIR to the folder of an installed one")
    return home()


def pytest_configure(config: pytest.Config) -> None:
    """Take down what the tests show, where LIVE_RESULTS names a file for it."""
    if results := os.environ.get("LIVE_RESULTS"):
        config.pluginmanager.register(Outcomes(Path(results)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a host cannot do is expected to fail there; should it pass, the list is wrong.

    A host on which the extension refuses to work has tests of its own, and only those. All of them are slow, since a
    host has to be started.
    """
    missing = missing_need(home())
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.slow)
        if (item.path.name == WHERE_IT_REFUSES) != (missing is not None):
            reason = f"the host lacks {missing}" if missing else "the host lacks nothing that is needed"
            item.add_marker(pytest.mark.skip(reason=reason))
        if (reason := why_not_expected(item.name, home())) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture(scope="session")
def models(webui_home: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints, kept between runs for as long as what they are made from stays the same."""
    names = "shapes.py text_encoder.py open_clip_architecture.py make_checkpoints.py forge_networks.py"
    sources = [HERE / name for name in names.split()]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    kept = Path(request.config.cache.mkdir("live-checkpoints")) / digest
    if not kept.exists():
        _make_checkpoints(webui_home, kept, tmp_path_factory.mktemp("made") / digest)
    return kept


def _make_checkpoints(webui_home: Path, kept: Path, folder: Path) -> None:
    text_encoder = write_text_encoder(folder / "text")
    for name, config in all_shapes(kept / "text").items():
        (folder / f"{name}.yaml").write_text(json.dumps(config), "utf-8")
    command = [
        python_of(webui_home),
        str(HERE / "make_checkpoints.py"),
        str(webui_home),
        str(folder),
        str(text_encoder),
    ]
    made = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert made.returncode == 0, made.stderr[-4000:]
    shutil.move(folder, kept)


@pytest.fixture(scope="session")
def webui(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    with running(WebUI(tmp_path_factory.mktemp("data"), {"instantas": EXTENSION, "probe": PROBE}, models)) as webui:
        yield webui


@pytest.fixture(scope="session")
def webui_without_extension(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    with running(WebUI(tmp_path_factory.mktemp("bare"), {"probe": PROBE}, models)) as webui:
        yield webui


@pytest.fixture(scope="session")
def client(webui: WebUI) -> Client:
    return webui.client
