"""CONTRIBUTING.md is true: its setting reaches panel, API and command line, its sampler family makes a picture."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch
from contributing import example
from modules import sd_models
from modules.processing import process_images

from lib_instantas import infotext
from lib_instantas.cli.options import add_settings, settings_from
from lib_instantas.hosts.a1111 import samplers
from lib_instantas.hosts.a1111.api import schema
from lib_instantas.hosts.a1111.script import InstantASScript
from lib_instantas.settings import Settings, SettingsError, names, parse_settings


@pytest.fixture
def halves_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The settings with the example's group among them, last, and its default in the newest infotext."""
    scope: dict[str, Any] = {"__name__": "example"}
    exec(compile(example("Add a setting"), "CONTRIBUTING.md", "exec", dont_inherit=True), scope)
    (name, field), *others = scope["HalvesOptions"].__fields__.items()
    assert not others
    monkeypatch.setitem(Settings.__fields__, name, field)
    monkeypatch.setitem(infotext.DEFAULTS[infotext.VERSION], name, field.default)
    Settings.__schema_cache__.clear()
    yield name
    Settings.__schema_cache__.clear()


def test_the_setting_is_in_the_schema_of_the_api(halves_at: str) -> None:
    said = schema()["properties"][halves_at]
    assert (said["default"], said["minimum"], said["maximum"], said["label"]) == (0.5, 0.25, 0.75, "Halves: cut at")


def test_it_is_an_option_of_the_command_line_and_refused_by_name(halves_at: str) -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    assert settings_from(parser.parse_args(["--halves-at", "0.3"])).dict()[halves_at] == 0.3
    with pytest.raises(SettingsError, match=r"halves_at must be between 0\.25 and 0\.75, got 0\.9"):
        parse_settings({halves_at: 0.9})


def test_it_is_said_in_the_infotext_and_read_again(halves_at: str) -> None:
    text = infotext.to_text(parse_settings({halves_at: 0.7}), "done")
    assert "halves_at=0.7" in text
    assert infotext.from_text(text).dict()[halves_at] == 0.7


def test_it_is_a_slider_in_the_panel(halves_at: str) -> None:
    script = InstantASScript()
    script.tabname = "txt2img"
    with gr.Blocks():
        components = script.ui(False)
    assert len(components) == len(names())
    slider = components[names().index(halves_at)]
    assert (slider.minimum, slider.maximum, slider.value, slider.label) == (0.25, 0.75, 0.5, "Halves: cut at")


@pytest.fixture
def family_of_the_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The example as a file beside the families of this project."""
    (tmp_path / "handed_out.py").write_text(example("Add a host"), encoding="utf-8")
    monkeypatch.setattr(samplers, "__path__", [str(tmp_path), *samplers.__path__])
    forget()
    yield
    forget()


def forget() -> None:
    for found in (samplers.families, samplers.family, samplers.missing_features):
        found.cache_clear()


@pytest.mark.usefixtures("family_of_the_example")
def test_a_host_without_its_feature_keeps_its_own_family() -> None:
    assert type(samplers.family()).__name__ == "WebUISamplers"


@pytest.mark.usefixtures("family_of_the_example")
def test_the_family_makes_a_picture_on_a_host_with_its_feature(make: Any, model: Any, monkeypatch: Any) -> None:
    unet, asked = model.model.diffusion_model, []
    expected = process_images(make({"enabled": True})).latents[0]
    monkeypatch.setattr(sd_models, "unet_in_use", lambda: asked.append(1) or unet, raising=False)
    forget()
    made = process_images(make({"enabled": True})).latents[0]
    assert asked
    assert torch.equal(made, expected)
