"""What a host must offer, and who says so where it does not."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from modules import script_callbacks, sd_samplers_cfg_denoiser

from lib_instantas.hosts.a1111.samplers import missing_features, refusal

ROOT = Path(__file__).resolve().parents[2]


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
