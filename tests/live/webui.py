"""A WebUI process of our own: a free loopback port, its data in a temporary folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client import Client

HERE = Path(__file__).resolve().parent
EXTENSION = HERE.parents[1]
PROBE = HERE / "probe_extension"

START_TIMEOUT = 400
CREDENTIALS = ("live", "test-pass")

CONFIG = {
    "samples_save": True,
    "samples_format": "png",
    "show_progress_type": "Approx cheap",
    "outdir_samples": "",
    "save_to_dirs": False,
    "grid_save": False,
    "sd_model_checkpoint": "sd1.safetensors",
    "batch_cond_uncond": True,
    "skip_early_cond": 0.0,
    "s_min_uncond": 0.0,
    "s_min_uncond_all": False,
    "pad_cond_uncond": False,
    "pad_cond_uncond_v0": False,
    "upcast_attn": False,
    "use_old_scheduling": False,
    "CLIP_stop_at_last_layers": 1,
    "sd_vae_decode_method": "Full",
    "return_mask": False,
    "return_mask_composite": False,
    "sd_text_encoder": "None",
    "instantas_fit": "fitted",
    "instantas_edges": "elastic",
    "instantas_tile_batch": 1,
}
"""Settings of the host: live previews without a network that would have to be fetched, and all that a request
overrides: the host gives back its value after a request only to settings that its file names. Tiles one by one, of
equal size at rest, are easy to count; test_live_defaults.py is about the extension's own defaults."""

FULL_PRECISION = ("--no-half", "--precision", "full")
"""What the host computes in unless a test is about something else."""

STYLES = """name,prompt,negative_prompt
Live,"a drawing of {prompt}, in ink",photo
"""


def home() -> Path:
    """Where the WebUI is installed: WEBUI_DIR, or its usual place."""
    return Path(os.environ.get("WEBUI_DIR", "~/stable-diffusion-webui")).expanduser()


def python_of(webui: Path) -> str:
    """The Python that the WebUI runs in: its own environment, or ours where it has none."""
    candidates = (webui / "venv" / "bin" / "python", webui / "venv" / "Scripts" / "python.exe")
    return str(next((python for python in candidates if python.exists()), sys.executable))


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class WebUI:
    """A running WebUI. `data` holds its configuration, models, extensions and pictures.

    `flags` and `options` are how it is started: its command line beside what every test needs, and its settings.
    """

    data: Path
    extensions: dict[str, Path]
    models: Path
    flags: tuple[str, ...] = FULL_PRECISION
    options: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> Client:
        """A client with credentials."""
        return Client(self.url, CREDENTIALS)

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return (self.data / "log.txt").read_text("utf-8", errors="replace")

    @property
    def errors(self) -> list[str]:
        """What of the log the host prints when an extension raises an exception."""
        return [words for words in ("Error running", "Error calling", "Error executing callback") if words in self.log]

    def start(self) -> None:
        """Start it and wait until it answers; what it printed is in the error if it does not."""
        self._lay_out()
        with (self.data / "log.txt").open("wb") as log:
            self.process = subprocess.Popen(
                self._command(), cwd=home(), env=_environment(), stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_TIMEOUT
        # A request before that line makes the host fail: it still adds middleware while it listens already.
        while "Startup time" not in self.log or not self.client.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the WebUI did not start:\n{self.log[-4000:]}")
            time.sleep(0.25)

    def stop(self) -> None:
        """End this one process."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def _lay_out(self) -> None:
        folder = self.data / "extensions"
        folder.mkdir(parents=True)
        for name, source in self.extensions.items():
            (folder / name).symlink_to(source, target_is_directory=True)
        outputs = {f"outdir_{kind}": str(self.data / "pictures") for kind in ("txt2img_samples", "img2img_samples")}
        (self.data / "config.json").write_text(json.dumps(CONFIG | outputs | self.options), "utf-8")
        (self.data / "styles.csv").write_text(STYLES, "utf-8")

    def _command(self) -> list[str]:
        flags = "--skip-prepare-environment --skip-torch-cuda-test --skip-python-version-check --skip-install --api"
        flags += " --no-download-sd-model --no-hashing"
        flags += " --always-cpu" if (home() / "modules_forge").is_dir() else " --use-cpu all"
        paths = ["--data-dir", self.data, "--ckpt-dir", self.models, "--ckpt", self.models / "sd1.safetensors"]
        paths += ["--embeddings-dir", self.data / "embeddings"]
        paths += ["--gradio-allowed-path", home()]  # Forge serves nothing of its own where the data lie elsewhere
        network = ["--port", self.port, "--api-auth", ":".join(CREDENTIALS)]
        return [python_of(home()), "launch.py", *flags.split(), *_understood(self.flags), *map(str, [*paths, *network])]


def _understood(flags: tuple[str, ...]) -> list[str]:
    """The flags less `--precision`, which has a value, where the host has no such flag."""
    if "--precision" in (home() / "modules" / "cmd_args.py").read_text("utf-8") or "--precision" not in flags:
        return list(flags)
    at = flags.index("--precision")
    return [*flags[:at], *flags[at + 2 :]]


def _environment() -> dict[str, str]:
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "PYTHONUNBUFFERED": "1", "COMMANDLINE_ARGS": ""}
    one_thread = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **quiet, **one_thread}


@contextmanager
def running(webui: WebUI) -> Iterator[WebUI]:
    """A WebUI from its start to its end."""
    try:
        webui.start()
        yield webui
    finally:
        webui.stop()
