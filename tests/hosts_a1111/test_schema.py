"""The route that describes the settings, behind the credentials of the host."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from modules import shared

from lib_instantas.hosts.a1111.api import add_routes, schema
from lib_instantas.settings import names


def ask(api_auth: str | None = None, page_auth: dict | None = None, **request: Any) -> int:
    app = FastAPI()
    app.auth, app.tokens = page_auth, {"token-of-ann": "ann"}
    shared.cmd_opts.api_auth = api_auth
    add_routes(None, app)
    try:
        return TestClient(app).get("/instantas/schema", **request).status_code
    finally:
        shared.cmd_opts.api_auth = None


@pytest.mark.parametrize(
    ("protection", "request_", "status"),
    [
        ({}, {}, 200),
        ({"api_auth": "ann:secret,bob:word"}, {}, 401),
        ({"api_auth": "ann:secret,bob:word"}, {"auth": ("bob", "word")}, 200),
        ({"api_auth": "ann:secret"}, {"auth": ("ann", "word")}, 401),
        ({"api_auth": "ann:secret", "page_auth": {"cy": "page"}}, {"auth": ("cy", "page")}, 401),
        ({"page_auth": {"cy": "page"}}, {}, 401),
        ({"page_auth": {"cy": "page"}}, {"auth": ("cy", "page")}, 200),
        ({"page_auth": {"cy": "page"}}, {"cookies": {"access-token": "token-of-ann"}}, 200),
        ({"page_auth": {"cy": "page"}}, {"cookies": {"access-token": "made-up"}}, 401),
    ],
)
def test_the_schema_is_behind_the_hosts_credentials(protection: dict, request_: dict, status: int) -> None:
    assert ask(**protection, **request_) == status


def test_the_schema_says_what_a_setting_can_be_here_and_which_methods_read_it() -> None:
    app = FastAPI()
    add_routes(None, app)
    described = TestClient(app).get("/instantas/schema").json()["properties"]
    assert set(described) == {"preset", *names()}
    assert "SyncDiffusion" not in described["method"]["enum"]
    assert described["gamma"]["methods"] == ["InstantAS"]
    assert described["overlap"]["maximum"] == 0.95
    assert "direct" not in described["compose"]["methods"]


def test_the_methods_help_is_of_those_that_can_be_chosen() -> None:
    said = schema()["properties"]["method"]
    named = [name for line in said["help"].splitlines()[1:] for name in line.partition(": ")[0].split(", ")]
    assert sorted(named) == sorted(said["enum"])
