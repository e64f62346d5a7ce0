"""The script that the WebUI runs for every generation."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from modules import scripts

from lib_instantas.hosts.webui.arguments import parse_arguments
from lib_instantas.hosts.webui.limits import size_warnings
from lib_instantas.hosts.webui.page import output_here
from lib_instantas.hosts.webui.panel import Panel
from lib_instantas.hosts.webui.probe import refusal
from lib_instantas.hosts.webui.regions import check_region_prompts
from lib_instantas.hosts.webui.report import attach_report, detach_report
from lib_instantas.hosts.webui.sizes import (
    apply_own_size,
    cropped,
    exact_size,
    final_size,
    forget_own_size,
    slack_of,
)
from lib_instantas.hosts.webui.stopping import stop_generation
from lib_instantas.hosts.webui.style import align_noise, check_style_alignment
from lib_instantas.hosts.webui.vae import attach_tiled_vae, detach_tiled_vae
from lib_instantas.methods import check_method
from lib_instantas.settings import Settings, SettingsError

logger = logging.getLogger(__name__)


class InstantASScript(scripts.Script):
    """The panel, and what happens before and after sampling. Keeps nothing between generations."""

    def __init__(self) -> None:
        self.panel: Panel | None = None
        self.page_controls: dict[str, Any] = {}

    def title(self) -> str:
        """The name in the page and in the API's `alwayson_scripts`."""
        return "InstantAS"

    def show(self, is_img2img: bool) -> Any:
        """In txt2img and img2img, always."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        """The panel's components, in the order of the settings. The host calls this more than once."""
        panel = Panel(self.elem_id, "img2img" if is_img2img else "txt2img")
        if self.panel is None:
            self.panel = panel
            self.infotext_fields = panel.paste_fields()
            self.paste_field_names = [target for _, target in self.infotext_fields]
        return panel.components

    def after_component(self, component: Any, **kwargs: Any) -> None:
        """Pick up the page's own controls that the live line depends on."""
        elem_id = kwargs.get("elem_id")
        if not elem_id:
            return
        self.page_controls[elem_id] = component
        if self.panel is not None and elem_id == f"{self.tabname}_gallery":
            self.panel.follow(self.page_controls)

    def before_process(self, p: Any, *args: Any) -> None:
        """Give the picture its size before any other script, such as ControlNet, looks at it."""
        with suppress(SettingsError):  # said in `process`, which every host calls
            settings = parse_arguments(args)
            if settings.enabled:
                apply_own_size(p, settings)

    def process(self, p: Any, *args: Any) -> None:
        """Check the settings, give the picture its size and its metadata; a bad setting stops the generation."""
        try:
            self._prepare(p, parse_arguments(args))
        except SettingsError as error:
            stop_generation(p, error)
        except Exception as error:
            logger.exception("InstantAS: the generation is stopped")
            stop_generation(p, error)

    def process_before_every_sampling(self, p: Any, *args: Any, noise: Any, **_: Any) -> None:
        """Align the initial noise of the tiles. Older hosts never call this; `process` says so."""
        settings = parse_arguments(args)
        if settings.enabled and settings.style_alignment:
            align_noise(p, noise, settings)

    def postprocess_image(self, p: Any, pp: Any, *args: Any) -> None:
        """Crop to the exact pixel, before anything is pasted over the picture, saved or described."""
        settings = parse_arguments(args)
        if settings.enabled:
            pp.image = cropped(pp.image, exact_size(p, settings), slack_of(p))

    def postprocess_maskoverlay(self, p: Any, ppmo: Any, *args: Any) -> None:
        """Crop what inpainting lays over the picture, and its mask, in the same way."""
        settings = parse_arguments(args)
        if not settings.enabled:
            return
        for name in ("overlay_image", "mask_for_overlay"):
            if getattr(ppmo, name) is not None:
                setattr(ppmo, name, cropped(getattr(ppmo, name), exact_size(p, settings), slack_of(p)))

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
        """Let the API's information name the exact size too."""
        settings = parse_arguments(args)
        if settings.enabled and (settings.width or settings.height):
            processed.width, processed.height = settings.width or p.width, settings.height or p.height

    def _prepare(self, p: Any, settings: Settings) -> None:
        if not settings.enabled:
            detach_tiled_vae(p)
            if detach_report(p):
                forget_own_size(p)
            return
        if (reason := refusal()) is not None:
            raise SettingsError(reason)
        check_method(settings.method)
        check_region_prompts(settings)
        check_style_alignment(settings)
        apply_own_size(p, settings)
        _warn_of_size(p, settings)
        attach_report(p, settings)
        attach_tiled_vae(p, settings)


def _warn_of_size(p: Any, settings: Settings) -> None:
    """Say before the run, in the log and below the picture, what its size will not allow."""
    for warning in size_warnings(final_size(p, settings), output_here()):
        logger.warning("InstantAS: %s", warning)
        if hasattr(p, "comment"):
            p.comment(f"InstantAS: {warning}")


def settings_of(p: Any) -> Settings | None:
    """The settings of a generation; None where this script takes no part in it."""
    runner = getattr(p, "scripts", None)
    for script in getattr(runner, "alwayson_scripts", ()):
        if isinstance(script, InstantASScript):
            return parse_arguments(p.script_args[script.args_from : script.args_to])
    return None
