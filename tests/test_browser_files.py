"""What the browser loads: served by name and version only, and the libraries as they were published."""

from __future__ import annotations

import hashlib
import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from lib_instantas.browser import FOLDER, ROUTE, VENDORED_SHA256, files, version
from lib_instantas.browser.routes import add_browser_files


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    add_browser_files(app)
    return TestClient(app)


def test_the_libraries_are_the_ones_that_were_published() -> None:
    vendored = {path.name: path for path in files().values() if path.parent.name == "vendored"}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in vendored.items()} == VENDORED_SHA256
    assert {path.name for path in (FOLDER / "vendored").glob("*.LICENSE.txt")} == {
        "konva.LICENSE.txt",
        "pannellum.LICENSE.txt",
    }


def test_every_file_that_a_module_imports_is_served_as_a_script(client: TestClient) -> None:
    base = f"{ROUTE}/{client.get(f'{ROUTE}/version').text}"
    for name, path in files().items():
        for imported in (
            re.findall(r'^import .*?"\./(.+)";$', path.read_text("utf-8"), re.M) if path.suffix == ".mjs" else ()
        ):
            answer = client.get(f"{base}/{imported}")
            assert answer.status_code == 200, (name, imported)
            assert answer.headers["content-type"].startswith("text/javascript")
            assert "immutable" in answer.headers["cache-control"]


def test_the_version_is_asked_for_anew(client: TestClient) -> None:
    answer = client.get(f"{ROUTE}/version")
    assert answer.text == version()
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "name",
    [
        "__init__.py",
        "routes.py",
        "nothing.mjs",
        "vendored/konva.LICENSE.txt",
        "..%2f__init__.py",
        "vendored/../routes.py",
    ],
)
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"{ROUTE}/{version()}/{name}").status_code == 404


def test_another_version_is_not_served(client: TestClient) -> None:
    assert client.get(f"{ROUTE}/{'0' * 16}/editor.mjs").status_code == 404
