"""The script that the host runs for every generation: when a generation begins, and what it does to its pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from modules import scripts, shared

from lib_instantas.agreement import check
from lib_instantas.hosts.a1111.chained_upscaling import upscaled_afterwards
from lib_instantas.hosts.a1111.chosen import native_side_of_choice
from lib_instantas.hosts.a1111.composing import compose, why_not
from lib_instantas.hosts.a1111.fidelity import why_not_held
from lib_instantas.hosts.a1111.generation import Generation, begin, end, generation_of, stop
from lib_instantas.hosts.a1111.inversion import why_not_inverted
from lib_instantas.hosts.a1111.language import here, is_asked_by_the_api
from lib_instantas.hosts.a1111.live_line import output_here
from lib_instantas.hosts.a1111.native import native_side
from lib_instantas.hosts.a1111.neighbours import check_neighbours
from lib_instantas.hosts.a1111.offers import offer_of_model
from lib_instantas.hosts.a1111.panel import Panel
from lib_instantas.hosts.a1111.panorama import mark_sphere
from lib_instantas.hosts.a1111.parts.background import check_background
from lib_instantas.hosts.a1111.parts.regions import check_region_prompts
from lib_instantas.hosts.a1111.report import erase
from lib_instantas.hosts.a1111.samplers import family, refusal
from lib_instantas.hosts.a1111.sampling import check_pass
from lib_instantas.hosts.a1111.settings_page import parse_arguments, with_setting
from lib_instantas.hosts.a1111.sizes import (
    SIZE_KEY,
    apply_own_size,
    cropped,
    final_size,
    own_size_text,
    size_warnings,
    slack_of,
)
from lib_instantas.hosts.a1111.style import align_noise
from lib_instantas.hosts.a1111.upscaling import enlarged, upscales_afterwards, upscaling_of, why_not_upscaled
from lib_instantas.infotext import KEY, to_text
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.texts import messages

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
            if settings.enabled and refusal() is None:
                self._begin(p, settings, _native_side_to_come(p)).send_prompts(p)

    def process(self, p: Any, *args: Any) -> None:
        """Check the settings and begin the generation; a bad setting stops it before it begins."""
        try:
            settings = parse_arguments(args)
            if settings.enabled:
                self._check_and_begin(p, settings)
            else:
                self._stay_out(p, settings, args)
        except SettingsError as error:
            stop(p, error)
        except Exception as error:
            logger.exception("InstantAS: the generation is stopped")
            stop(p, error)

    def process_before_every_sampling(self, p: Any, *args: Any, noise: Any, **_: Any) -> None:
        """A pass is about to begin: align the initial noise of the tiles. WebUIs before 1.10 never call this."""
        generation = generation_of(p)
        if generation is None:
            return
        family().before_pass(p, noise)
        if generation.settings.style_alignment:
            generation.aligned |= align_noise(p, noise, generation.settings)

    def post_sample(self, p: Any, ps: Any, *args: Any) -> None:
        """Decode the finished latents, where the host hands them over between sampling and decoding."""
        if (generation := generation_of(p)) is not None:
            ps.samples = generation.decoded(p, ps.samples)

    def postprocess_batch_list(self, p: Any, pp: Any, *args: Any, batch_number: int = 0, **_: Any) -> None:
        """The pictures of a batch are finished, and no script has seen them one by one: in txt2img, enlarge them."""
        if (generation := generation_of(p)) is not None:
            pp.images = upscaled_afterwards(p, generation, self, pp.images, batch_number)

    def postprocess_image(self, p: Any, pp: Any, *args: Any) -> None:
        """Crop to the exact pixel, before anything is pasted over the picture, saved or described."""
        if (generation := generation_of(p)) is not None:
            generation.write_report(p)  # what became of this picture, and the prompts of its regions, are its own
            if not generation.report.is_enlarged:
                pp.image = cropped(pp.image, generation.exact_size(p), slack_of(p), generation.settings.wraps_per_axis)
            mark_sphere(pp.image, generation)

    def postprocess_maskoverlay(self, p: Any, ppmo: Any, *args: Any) -> None:
        """Crop what inpainting lays over the picture, and its mask, in the same way."""
        generation = generation_of(p)
        if generation is None:
            return
        for name in ("overlay_image", "mask_for_overlay"):
            if getattr(ppmo, name) is not None:
                closed = generation.settings.wraps_per_axis
                setattr(ppmo, name, cropped(getattr(ppmo, name), generation.exact_size(p), slack_of(p), closed))

    def postprocess_image_after_composite(self, p: Any, pp: Any, *args: Any) -> None:
        """The host writes the picture next: whatever a job within the job left in the metadata gives way."""
        if (generation := generation_of(p)) is not None:
            generation.write_report(p)
            mark_sphere(pp.image, generation)

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
        """Let the API's information name the exact size too."""
        generation = generation_of(p)
        if generation is None:
            return
        if generation.composition is not None:
            processed.height, processed.width = generation.composition.finished
        elif generation.upscaling is not None:
            processed.height, processed.width = generation.upscaling.finished
        elif generation.settings.width or generation.settings.height:
            settings = generation.settings
            processed.width, processed.height = settings.width or p.width, settings.height or p.height

    def _begin(self, p: Any, settings: Settings, native: int) -> Generation:
        """Begin the generation: with the picture's own size, and in two stages where that is wanted.

        It is laid out once, and anew where the model that was loaded meanwhile knows another size.
        """
        settings = _closed_where_tileable(p, settings)
        generation = begin(p, settings)
        if generation.composition is not None:
            if generation.native == native:
                return generation
            generation.composition.undo(p)
        generation.upscaling = upscaling_of(p, settings)
        upscaled = None if generation.upscaling is None else generation.upscaling.finished
        apply_own_size(p, settings, upscaled)
        generation.native = native
        upscales_later = upscales_afterwards(p, settings)
        remarks: list[str | None] = [
            why_not(p, settings, native),
            why_not_upscaled(p, settings),
            "" if upscales_later else why_not_inverted(p, settings),
        ]
        generation.composition = compose(p, settings, native)
        remarks.append("" if upscales_later else why_not_held(p, settings))
        generation.report.remark = ", ".join(remark for remark in remarks if remark)
        finished = upscaled if generation.composition is None else generation.composition.finished
        generation.report.parameters = own_size_text(p, settings, finished)
        return generation

    def _check_and_begin(self, p: Any, settings: Settings) -> None:
        if (reason := refusal()) is not None:
            raise SettingsError(reason)
        check_neighbours(p, settings)
        check_region_prompts(settings)
        check_background(settings)
        generation = self._begin(p, settings, native_side(shared.sd_model))
        check(generation.settings, offer_of_model())
        if upscales_afterwards(p, generation.settings):
            height, width = generation.exact_size(p) or final_size(p)
            check_pass(p, generation.settings, enlarged((height, width), generation.settings))
        _warn_of_size(p, generation)
        generation.write_report(p)

    def _stay_out(self, p: Any, settings: Settings, args: tuple[Any, ...]) -> None:
        """Nothing of an earlier generation stays; who names settings without `enabled` is told that they are off."""
        end(p)
        if erase(p):
            p.extra_generation_params.pop(SIZE_KEY, None)
        if args and isinstance(args[0], Mapping) and args[0] and "enabled" not in args[0]:
            p.extra_generation_params[KEY] = to_text(settings, "off: enabled is not set")


def arguments_of(p: Any) -> tuple[Any, ...]:
    """The arguments that a processing object holds for the panel's script."""
    script = _script_of(p)
    return tuple(p.script_args[script.args_from : script.args_to])


def change_argument(p: Any, name: str, value: Any) -> None:
    """Give a processing object other arguments for the panel's script: with one setting, or a preset, replaced."""
    script = _script_of(p)
    changed = with_setting(arguments_of(p), name, value)
    p.script_args = (*p.script_args[: script.args_from], *changed, *p.script_args[script.args_to :])


def _script_of(p: Any) -> InstantASScript:
    return next(one for one in p.scripts.alwayson_scripts if isinstance(one, InstantASScript))


def _native_side_to_come(p: Any) -> int:
    """The side known by the model that the host is about to load for this request, as far as that can be told now."""
    chosen = getattr(p, "override_settings", {}).get("sd_model_checkpoint")
    return native_side_of_choice(chosen) or native_side(shared.sd_model)


def _closed_where_tileable(p: Any, settings: Settings) -> Settings:
    """The host's Tiling checkbox asks for a picture whose borders meet: with tiles that is `wrap`, on both axes."""
    return settings.copy(update={"wrap": "both"}) if getattr(p, "tiling", False) else settings


def _warn_of_size(p: Any, generation: Generation) -> None:
    """Say before the run, in the log and below the picture, what its size will not allow."""
    for warning in size_warnings(generation.exact_size(p) or final_size(p), output_here()):
        logger.warning("InstantAS: %s", warning)
        if hasattr(p, "comment"):
            comment = messages.SAID_BY(message=warning)
            p.comment(comment if is_asked_by_the_api(p) else here(comment))
