"""A host without what the extension needs: it says what is missing, makes no picture with tiles, and off is off."""

from __future__ import annotations

from typing import Any

import pytest
from client import Client, RefusedError, same
from deviations import missing_need
from test_host_untouched import PLAIN
from webui import WebUI, home
from webui_tab import PANEL


@pytest.fixture
def reason() -> str:
    return f"cannot work on this host, which lacks: {missing_need(home())}"


def test_the_panel_says_what_is_missing_and_cannot_be_switched_on(browser: Any, webui: WebUI, reason: str) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1300})
    page.goto(webui.url)
    page.click(f"#{PANEL.format(tab='txt2img', name='accordion')} > .label-wrap")
    line = page.wait_for_selector(f"#{PANEL.format(tab='txt2img', name='line')}", state="visible")
    assert f"InstantAS {reason}" in line.inner_text()
    assert page.is_disabled(f"#{PANEL.format(tab='txt2img', name='enabled')} input")
    page.close()


def test_a_request_is_refused_with_the_reason_and_the_next_goes_on(client: Client, reason: str) -> None:
    before = client.txt2img()
    with pytest.raises(RefusedError) as refused:
        client.txt2img({"enabled": True})
    assert refused.value.status == 422
    assert reason in str(refused.value)
    assert same(before, client.txt2img())


@pytest.mark.parametrize("fields", PLAIN)
def test_off_is_as_if_it_were_not_installed(
    client: Client, webui_without_extension: WebUI, fields: dict[str, Any]
) -> None:
    bare = webui_without_extension.client.txt2img(**fields)
    for settings in (None, {"enabled": False}):
        installed = client.txt2img(settings, **fields)
        assert same(installed, bare)
        assert installed.info["infotexts"] == bare.info["infotexts"]


def test_the_host_logs_no_error_of_ours(webui: WebUI) -> None:
    webui.client.txt2img()
    assert not webui.errors
