"""Everything this extension hangs into the host, in one place."""

from __future__ import annotations

from functools import partial

from modules import script_callbacks

from lib_instantas.hosts.webui.api import add_routes
from lib_instantas.hosts.webui.controlnet import controlnet_hints
from lib_instantas.hosts.webui.dilation import dilated_convolutions
from lib_instantas.hosts.webui.options import add_options
from lib_instantas.hosts.webui.parts import register_part
from lib_instantas.hosts.webui.probe import refusal
from lib_instantas.hosts.webui.regions import regional_prompts
from lib_instantas.hosts.webui.sampling import before_evaluation
from lib_instantas.hosts.webui.script import settings_of
from lib_instantas.hosts.webui.tab import on_ui_tabs
from lib_instantas.hosts.webui.xyz import add_axes


def register() -> None:
    """Register the callbacks. The host forgets them all when it loads its scripts anew."""
    script_callbacks.on_ui_settings(add_options)
    script_callbacks.on_before_ui(add_axes)
    script_callbacks.on_app_started(add_routes)
    script_callbacks.on_ui_tabs(on_ui_tabs)
    register_part(controlnet_hints)
    register_part(dilated_convolutions)
    register_part(regional_prompts)
    if refusal() is None:
        script_callbacks.on_cfg_denoiser(partial(before_evaluation, settings_of=settings_of))
