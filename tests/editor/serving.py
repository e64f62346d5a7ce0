"""The standalone page under test, served on this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from lib_instantas.hosts.standalone import Generator
from lib_instantas.serve.server import make_app

PATIENCE = 60.0
"""Seconds until a server that does not come up counts as broken."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(generator: Generator, presets: Path, port: int) -> Iterator[str]:
    """The page's address while it is served from a thread."""
    config = uvicorn.Config(make_app(generator, presets), host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started:
        assert thread.is_alive(), "the server could not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/"
    server.force_exit = server.should_exit = True
    thread.join(PATIENCE)
