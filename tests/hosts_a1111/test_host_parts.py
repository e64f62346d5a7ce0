"""What the extension shows and takes around a generation: panel, live line, pasting, X/Y/Z, routes, host features."""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from modules import processing, script_callbacks, scripts, sd_samplers_cfg_denoiser, shared

from lib_instantas.hosts.a1111.api import add_routes
from lib_instantas.hosts.a1111.live_line import PlannedPass, forecast, line_for, passes_of
from lib_instantas.hosts.a1111.panel import FromInfotext
from lib_instantas.hosts.a1111.samplers import missing_features, refusal
from lib_instantas.hosts.a1111.script import InstantASScript
from lib_instantas.hosts.a1111.settings_page import add_options, default_settings, parse_arguments, with_setting
from lib_instantas.hosts.a1111.sizes import Output, size_warnings
from lib_instantas.hosts.a1111.xyz import PREFIX, add_axes
from lib_instantas.infotext import to_text
from lib_instantas.settings import Settings, names

# The host's own gradio takes tooltips; plain gradio warns of them, and of itself.
pytestmark = pytest.mark.filterwarnings("ignore:You have unused kwarg", "ignore::DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
ON = {"enabled": True}


def settings(**values: Any) -> Settings:
    return parse_arguments([ON | values])


# The live line


def test_the_line_says_what_is_done_and_what_would_be_done_without() -> None:
    line = forecast(settings(), [PlannedPass("", (512, 2048), 20)], native=64)
    assert line.startswith("4 tiles of 512x512, 80 UNet evaluations of a tile instead of 20 of 2048x512: about ")
    share = float(re.search(r"about ([\d.]+) times the work, and the memory of a tile$", line)[1])
    assert 0.8 < share < 1, "attention over the whole canvas costs more than over its quarters"


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ({"enabled": False}, (512, 2048), "Off. Switched on: 4 tiles of 512x512"),
        ({"method": "direct"}, (512, 2048), "20 UNet evaluations of 2048x512 at once, 4.0 times the model's 512x512"),
        ({}, (512, 512), "nothing to do, 512x512 fits one tile; 20 UNet evaluations as without"),
        ({"tile": 256}, (256, 512), "2 tiles of 256x256, 40 UNet evaluations of a tile instead of 20 of 512x256: "),
        (
            {"method": "MultiDiffusion", "overlap": 0.875},
            (512, 2048),
            "25 tiles of 512x512, 500 UNet evaluations",
        ),
        (
            {"method": "ScaleCrafter"},
            (1024, 1024),
            "1 tile of 1024x1024, 20 UNet evaluations, dilation 2 in the first 12; the whole picture at once, "
            "4.0 times the model's 512x512",
        ),
        (
            {"method": "ScaleCrafter"},
            (512, 2048),
            "nothing to do, 2048x512's shorter side is not longer than the model's own; 20 UNet evaluations as without",
        ),
    ],
)
def test_the_line_for(values: dict, size: tuple[int, int], expected: str) -> None:
    assert forecast(settings(**values), [PlannedPass("", size, 20)], native=64).startswith(expected)


@pytest.mark.parametrize(
    ("edges", "gamma", "said"),
    [
        ("ring", 0.25, "; the grid moves 128 px down and 128 px across at a time"),
        ("elastic", 0.25, "; the grid moves 128 px down and 128 px across at a time"),
        ("elastic/ring", 0.5, "; the grid moves 256 px across at a time"),
        ("sway", 0.5, "; the grid stands still"),
        ("clamp", 0.0, "; the grid stands still"),
    ],
)
def test_the_line_says_how_far_a_cyclic_grid_moves(edges: str, gamma: float, said: str) -> None:
    chosen = settings(fit="native", edges=edges, gamma=gamma, schedule="cyclic")
    assert forecast(chosen, [PlannedPass("", (1024, 1024), 20)], native=64).endswith(said)
    assert "the grid" not in forecast(settings(edges=edges), [PlannedPass("", (1024, 1024), 20)], native=64)


def test_the_line_warns_of_a_picture_that_the_file_format_cannot_hold() -> None:
    wide = [PlannedPass("", (64, 20000), 1)]
    assert "webp files hold at most 16383 pixels a side" in forecast(settings(), wide, 64, Output("webp"))
    assert "files hold" not in forecast(settings(), wide, 64, Output("png"))


@pytest.mark.parametrize(
    ("size", "output", "expected"),
    [
        ((512, 20000), Output("png"), []),
        ((4096, 4096), Output("png", "Approx NN"), []),
        ((70000, 64), Output("jpg"), ["jpg files hold at most 65535 pixels"]),
        ((16384, 16384), Output("png"), ["more than 178956970 pixels cannot be opened again"]),
        ((512, 20000), Output("png", "TAESD", "webp"), ["live previews in webp hold at most 16383"]),
        ((512, 20000), Output("png", "Approx cheap", "webp"), []),
        ((8192, 8192), Output("png", "Full"), ["by the method Full takes 0.8 GB"]),
    ],
)
def test_what_a_large_picture_cannot_be_is_said(size: tuple[int, int], output: Output, expected: list[str]) -> None:
    warnings = list(size_warnings(size, output))
    assert len(warnings) == len(expected)
    assert all(part in warning for part, warning in zip(expected, warnings, strict=True))


def test_the_line_of_a_huge_picture_is_quick_and_right() -> None:
    line = forecast(settings(fit="native", edges="ring"), [PlannedPass("", (32768, 32768), 150)], native=64)
    assert line.startswith(f"{64 * 64} tiles of 512x512, {64 * 64 * 150} UNet evaluations of a tile")


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ({"width": 2048, "height": 512, "steps": 20, "sampling": "Euler"}, [PlannedPass("", (512, 2048), 20)]),
        (
            {"width": 512, "height": 512, "steps": 20, "sampling": "Heun"},
            [PlannedPass("", (512, 512), 40, exact=False)],
        ),
        ({"steps": 20, "sampling": "DDIM"}, [PlannedPass("", (512, 512), 20, exact=False)]),
        ({"steps": 20, "denoising_strength": 0.5}, [PlannedPass("", (512, 512), 11)]),
        (
            {"width": 600, "height": 512, "steps": 8, "hr-checkbox": True, "hr_scale": 2.0, "hires_steps": 5},
            [PlannedPass("first pass: {work}", (512, 600), 8), PlannedPass("hires pass: {work}", (1024, 1200), 5)],
        ),
        (
            {"width": 512, "height": 256, "steps": 8, "hr-checkbox": True, "hr_resize_x": 1024, "hr_resize_y": 0},
            [PlannedPass("first pass: {work}", (256, 512), 8), PlannedPass("hires pass: {work}", (512, 1024), 8)],
        ),
    ],
)
def test_the_pages_controls_tell_the_passes(controls: dict, expected: list[PlannedPass]) -> None:
    assert passes_of(settings(), controls) == expected


def test_an_own_size_goes_before_the_pages() -> None:
    assert passes_of(settings(width=1209), {"width": 640, "height": 523}) == [PlannedPass("", (523, 1209), 20)]


def test_the_line_names_a_wrong_setting() -> None:
    values = list(settings().dict().values())
    values[names().index("gamma")] = 3
    assert line_for(values, {}) == "InstantAS: gamma must be between 0 and 1, got 3"


# Arguments, pasting, defaults


def test_arguments_by_name_and_in_order_mean_the_same() -> None:
    in_order = [True, *[None] * (len(names()) - 1)]
    in_order[names().index("gamma")] = 0.4
    assert parse_arguments(in_order) == parse_arguments([{"enabled": True, "gamma": 0.4}])


@pytest.mark.parametrize("arguments", [[{"enabled": True, "gamma": 0.1}, None], [True], []])
def test_one_setting_is_replaced_and_the_others_stay(arguments: list) -> None:
    changed = parse_arguments(with_setting(arguments, "gamma", 0.7))
    assert changed.dict() == parse_arguments(arguments).dict() | {"gamma": 0.7}


def test_pasting_brings_back_every_setting() -> None:
    made = settings(gamma=0.3, schedule="cyclic", width=999)
    params = {"InstantAS": to_text(made, "6 tiles")}
    assert {name: FromInfotext(name)(params) for name in names()} == made.dict()


def test_pasting_a_picture_made_without_switches_off_and_keeps_the_rest() -> None:
    assert FromInfotext("enabled")({}) is False
    assert FromInfotext("gamma")({}) is None


def test_the_settings_page_offers_a_default_for_each_setting_but_those_of_one_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "opts", shared.Options())
    add_options()
    offered = {key.removeprefix("instantas_") for key in shared.opts.data_labels}
    assert {"gamma", "schedule", "tile"} <= offered <= set(names()) - {"enabled", "width", "height", "regions"}
    assert default_settings() == Settings()


def test_stored_defaults_hold_and_invalid_ones_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "opts", shared.Options(instantas_gamma=0.5, instantas_schedule="no longer there"))
    assert default_settings() == Settings(gamma=0.5)
    assert parse_arguments([{"gamma": 0.1}]).gamma == 0.1


# The panel


def build_panel(tab: str = "txt2img") -> tuple[InstantASScript, list[Any]]:
    script = InstantASScript()
    script.tabname = tab
    with gr.Blocks():
        components = script.ui(tab == "img2img")
    return script, components


def test_the_panel_has_a_component_for_each_setting_with_its_default_and_limits() -> None:
    _, components = build_panel()
    assert [component.value for component in components] == list(default_settings().dict().values())
    gamma = components[names().index("gamma")]
    assert (gamma.minimum, gamma.maximum) == (0, 1)
    assert not components[0].value


def test_the_host_may_build_the_panel_again_without_losing_the_first() -> None:
    script, components = build_panel()
    with gr.Blocks():
        script.ui(False)
    assert [component for component, _ in script.infotext_fields] == components


def test_both_tabs_take_over_each_others_settings() -> None:
    """The host copies between tabs whatever has an equal target in both."""
    assert build_panel("txt2img")[0].paste_field_names == build_panel("img2img")[0].paste_field_names


def test_a_host_without_what_is_needed_gets_a_disabled_panel_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setattr("lib_instantas.hosts.a1111.panel.refusal", lambda: "cannot work on this host")
    script, components = build_panel()
    assert not any(component.interactive for component in components)
    assert script.panel is not None
    assert "InstantAS cannot work on this host" in script.panel.line.value


def test_a_host_without_what_is_needed_is_told_so_when_a_picture_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setattr("lib_instantas.hosts.a1111.script.refusal", lambda: "cannot work on this host")
    with pytest.raises(ValueError, match=r"^InstantAS: cannot work on this host"):
        processing.process_images(make(ON))
    processing.process_images(make())


# X/Y/Z plots


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


# Routes


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


# The host's features


def test_the_stand_in_has_every_feature_that_is_needed() -> None:
    missing_features.cache_clear()
    assert refusal() is None


@pytest.mark.parametrize(
    ("module", "name", "replacement", "words"),
    [
        (script_callbacks, "on_cfg_denoiser", None, "a callback before each evaluation"),
        (script_callbacks, "CFGDenoiserParams", lambda x, sigma: None, "the denoiser in that callback"),
        (sd_samplers_cfg_denoiser, "CFGDenoiser", ArgumentParser, "a sampler that asks the model through its wrapper"),
    ],
)
def test_a_missing_feature_is_named(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    replacement: Any,
    words: str,
) -> None:
    request.addfinalizer(missing_features.cache_clear)
    missing_features.cache_clear()
    if replacement is None:
        monkeypatch.delattr(module, name)
    else:
        monkeypatch.setattr(module, name, replacement)
    assert words in str(refusal())


def test_the_flags_and_the_installer_are_quiet_on_a_host_that_fits() -> None:
    sys.path.insert(0, str(ROOT))
    from preload import preload

    parser = ArgumentParser()
    preload(parser)
    assert parser.parse_args(["--instantas-max-side", "4096"]).instantas_max_side == 4096
    assert parser.parse_args([]).instantas_max_side == 32768
    printed = subprocess.run([sys.executable, str(ROOT / "install.py")], capture_output=True, text=True, check=True)
    assert printed.stdout == ""


def test_the_installer_names_what_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    import install

    monkeypatch.setattr(install, "version", {"torch": "1.13.1+cu117", "pydantic": "1.10.2", "gradio": "4.40.0"}.get)
    assert list(install.shortcomings()) == ["torch 2.0 or newer is needed, this is 1.13.1+cu117"]
