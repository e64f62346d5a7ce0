"""What all tests share."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from chromium import chromium
from hypothesis import settings

# Machines that run tests beside other work are slow at times; a property is not about time.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for all tests of pages: Playwright runs only once in a process."""
    with chromium() as running:
        yield running


@pytest.fixture
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small pipeline of Stable Diffusion's kind."""
    from tiny_pipelines import sd_pipeline

    return sd_pipeline(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def generators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The standalone program on a small pipeline of each kind."""
    from tiny_pipelines import PIPELINES

    from lib_instantas.hosts.standalone import Generator

    return {kind: Generator(make(tmp_path_factory.mktemp(kind))) for kind, make in PIPELINES.items()}


@pytest.fixture(scope="module")
def generator(generators: dict[str, Any]) -> Any:
    """The standalone program on a small pipeline of Stable Diffusion's kind."""
    return generators["sd"]
