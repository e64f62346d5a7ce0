"""Beside what a host brings itself for large pictures: refused by name, and nothing of it stays."""

from __future__ import annotations

from typing import Any

import pytest
from client import Client, RefusedError, same
from webui import home

ON = {"enabled": True}
BUILT_IN = {
    "MultiDiffusion Integrated": ("sd_forge_multidiffusion", [True, "MultiDiffusion", 128, 128, 64, 4, "random"]),
    "HyperTile Integrated": ("sd_forge_hypertile", [True, 64, 2, 0, False]),
}
"""By title: the folder of a script that a host may bring, and its values when it is on."""


@pytest.fixture(params=BUILT_IN)
def title(request: pytest.FixtureRequest, webui_home: Any) -> str:
    folder, _ = BUILT_IN[request.param]
    if not (home() / "extensions-builtin" / folder).is_dir():
        pytest.skip(f"the host brings no {request.param}")
    return str(request.param)


def values(client: Client, title: str, enabled: bool) -> dict[str, Any]:
    """The script's values, as many as this host's version takes."""
    infos = client.get("/sdapi/v1/script-info")
    count = next(len(info["args"]) for info in infos if info["name"] == title.lower())
    return {title: {"args": [enabled, *BUILT_IN[title][1][1:]][:count]}}


def make(client: Client, settings: dict[str, Any] | None, scripts: dict[str, Any]) -> Any:
    ours = {} if settings is None else {"InstantAS": {"args": [settings]}}
    return client.txt2img(None, alwayson_scripts={**scripts, **ours})


def test_one_that_divides_the_picture_too_is_refused_by_name(client: Client, title: str) -> None:
    alone = client.txt2img()
    with_it = make(client, None, values(client, title, enabled=True))
    with pytest.raises(RefusedError, match=f"422: .*enabled must be false while {title} is on"):
        make(client, ON, values(client, title, enabled=True))
    assert not same(alone, with_it)
    assert same(with_it, make(client, None, values(client, title, enabled=True)))
    assert same(alone, client.txt2img())


def test_one_that_is_off_may_stay(client: Client, title: str) -> None:
    assert same(make(client, ON, values(client, title, enabled=False)), client.txt2img(ON))


def test_the_method_direct_leaves_the_picture_to_it(client: Client, title: str) -> None:
    with_it = make(client, None, values(client, title, enabled=True))
    assert same(with_it, make(client, {**ON, "method": "direct"}, values(client, title, enabled=True)))
