"""A real WebUI for a benchmark: started by the live tests' own code, with Small World as its model."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from small_world import CHECKPOINT
from small_world.checkpoint import sizes_yaml

LIVE = Path(__file__).resolve().parents[1] / "tests" / "live"
TIMEOUT = 3600
"""Seconds that a request may take."""

TILED_DIFFUSION = "multidiffusion-upscaler-for-automatic1111"


def neighbour(name: str, places: Iterable[Path]) -> Path | None:
    """The checkout of an extension of this name in the first of these folders that has it."""
    return next((place / name for place in places if (place / name / "scripts").is_dir()), None)


@contextmanager
def host_beside(webui: Path, neighbours: Mapping[str, Path]) -> Iterator[Any]:
    """A running host (`webui.WebUI` of the live tests) with the extension, its defaults, and others beside it.

    Raises FileNotFoundError where there is no WebUI.
    """
    if not (webui / "launch.py").exists():
        raise FileNotFoundError(f"there is no WebUI in {webui}")
    os.environ["WEBUI_DIR"] = str(webui)
    if str(LIVE) not in sys.path:
        sys.path.insert(0, str(LIVE))
    import client
    from webui import EXTENSION, PROBE, WebUI, running

    client.TIMEOUT = TIMEOUT
    options = {f"instantas_{name}": value for name, value in client.DEFAULT_TILES.items()}
    with tempfile.TemporaryDirectory() as folder:
        models = lay_out(Path(folder) / "models")
        extensions = {"instantas": EXTENSION, "probe": PROBE, **neighbours}
        with running(WebUI(Path(folder) / "data", extensions, models, options=options)) as host:
            yield host


def lay_out(folder: Path) -> Path:
    """Small World as the one checkpoint of a host; under the name that the live tests start with."""
    folder.mkdir(parents=True)
    (folder / "sd1.safetensors").symlink_to(CHECKPOINT)
    (folder / "sd1.yaml").write_text(sizes_yaml(CHECKPOINT.with_suffix("").as_posix()), "utf-8")
    return folder
