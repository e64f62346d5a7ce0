"""Everything this extension hangs into the host, in one place."""

from __future__ import annotations

from modules import script_callbacks

from lib_instantas.browser.routes import add_browser_files
from lib_instantas.hosts.a1111.api import add_routes
from lib_instantas.hosts.a1111.panorama import after_saving, before_saving
from lib_instantas.hosts.a1111.parts import register_part
from lib_instantas.hosts.a1111.parts.background import watched_words
from lib_instantas.hosts.a1111.parts.controlnet import controlnet_hints
from lib_instantas.hosts.a1111.parts.dilation import dilated_convolutions
from lib_instantas.hosts.a1111.parts.padding import padding_as_trained
from lib_instantas.hosts.a1111.parts.regions import regional_prompts
from lib_instantas.hosts.a1111.samplers import refusal
from lib_instantas.hosts.a1111.sampling import before_evaluation
from lib_instantas.hosts.a1111.settings_page import add_options
from lib_instantas.hosts.a1111.tab import on_ui_tabs
from lib_instantas.hosts.a1111.xyz import add_axes


def register() -> None:
    """Register the callbacks. The host forgets them all when it loads its scripts anew."""
    script_callbacks.on_ui_settings(add_options)
    script_callbacks.on_before_ui(add_axes)
    script_callbacks.on_app_started(add_routes)
    script_callbacks.on_app_started(lambda _, app: add_browser_files(app))
    script_callbacks.on_ui_tabs(on_ui_tabs)
    script_callbacks.on_before_image_saved(before_saving)
    script_callbacks.on_image_saved(after_saving)
    for factory in (controlnet_hints, dilated_convolutions, padding_as_trained, watched_words, regional_prompts):
        register_part(factory)
    if refusal() is None:
        script_callbacks.on_cfg_denoiser(before_evaluation)
