"""X/Y/Z plots: an axis for each setting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from modules import scripts

from lib_instantas.hosts.a1111.settings_page import parse_arguments
from lib_instantas.hosts.a1111.xyz import PREFIX, add_axes
from lib_instantas.settings import Settings

ON = {"enabled": True}


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    class AxisOption(SimpleNamespace):
        def __init__(self, label: str, type: Any, apply: Any, confirm: Any = None, choices: Any = None) -> None:
            super().__init__(label=label, type=type, apply=apply, confirm=confirm, choices=choices)

    module = SimpleNamespace(AxisOption=AxisOption, axis_options=[])
    monkeypatch.setattr(scripts, "scripts_data", [SimpleNamespace(module=module)])
    add_axes()
    add_axes()
    return {axis.label.removeprefix(PREFIX): axis for axis in module.axis_options}


def test_there_is_one_axis_for_each_setting(axes: dict) -> None:
    labels = [field.field_info.extra["label"] for field in Settings.__fields__.values()]
    assert list(axes) == ["Preset", *labels]


def test_an_axis_changes_its_setting_on_one_cell_only(axes: dict, make: Any) -> None:
    p, cell = make(ON), make(ON)
    axis = axes["Schedule"]
    axis.apply(cell, "cyclic", ["cyclic"])
    script = cell.scripts.alwayson_scripts[0]
    assert parse_arguments(cell.script_args[script.args_from : script.args_to]).schedule == "cyclic"
    assert parse_arguments(p.script_args[1:]).schedule == Settings().schedule
    assert set(axis.choices()) >= {"golden", "cyclic", "random"}


def test_an_axis_refuses_a_bad_value_before_the_first_picture(axes: dict) -> None:
    with pytest.raises(RuntimeError, match="gamma must be between 0 and 1, got 2"):
        axes["Bridging γ"].confirm(None, [0.1, 2.0])
    side = axes["Width"]
    assert side.type("512") == 512
    with pytest.raises(RuntimeError, match=r"width must be .*, got 'abc'"):
        side.confirm(None, [side.type("512"), side.type("abc")])
    switch = axes["Enabled"]
    assert [switch.type(text) for text in ("True", "false")] == [True, False]
    with pytest.raises(RuntimeError, match="enabled must be true or false, got 'maybe'"):
        switch.confirm(None, [switch.type("maybe")])


def test_a_host_without_xyz_plots_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scripts, "scripts_data", [])
    with caplog.at_level("INFO"):
        add_axes()
    assert "no X/Y/Z plot" in caplog.text
    assert scripts.scripts_data == []
