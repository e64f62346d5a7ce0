"""One server for all tests of the editor; a fresh page with empty storage for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from serving import free_port, serving
from surface import Surface
from tiny_pipelines import sd_pipeline

from lib_instantas.hosts.standalone import Generator

NATIVE = 64
LAPTOP = {"width": 1280, "height": 800}


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    pipeline = sd_pipeline(tmp_path_factory.mktemp("pipeline"))
    pipeline.unet.register_to_config(sample_size=NATIVE)
    return Generator(pipeline)


@pytest.fixture(scope="session")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "presets"


@pytest.fixture(scope="session")
def address(generator: Generator, presets: Path) -> Iterator[str]:
    with serving(generator, presets, free_port()) as url:
        yield url


@pytest.fixture(scope="session")
def opened(browser: Browser, address: str) -> Iterator[Surface]:
    context = browser.new_context(viewport=LAPTOP)
    yield Surface(context.new_page(), address).open()
    context.close()


@pytest.fixture
def surface(opened: Surface) -> Iterator[Surface]:
    """The page with nothing drawn, shared by tests that do not reload it: opening it takes longer than most of them."""
    opened.clear()
    yield opened
    assert not opened.errors
    assert not opened.foreign


@pytest.fixture
def new_surface(browser: Browser, address: str) -> Iterator[Callable[..., Surface]]:
    """Opens pages of their own, each with an empty storage, such as `new_surface(viewport=...)`."""
    contexts = []

    def open_page(**options: Any) -> Surface:
        contexts.append(browser.new_context(**{"viewport": LAPTOP, **options}))
        return Surface(contexts[-1].new_page(), address).open()

    yield open_page
    for context in contexts:
        context.close()
