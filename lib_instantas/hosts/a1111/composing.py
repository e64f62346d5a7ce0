"""Compose first, in the host's own terms: the hires pass, told to make the final size, with its tiles.

So previews, interrupts, batches and regions work in both stages as the host does them. The metadata say the final size
and the setting instead of a hires pass, and paste back to the same picture.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from modules import extra_networks, shared

from lib_instantas.composition import first_size, second_steps
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.texts import messages
from lib_instantas.tiling import Size

HIRES_ENTRIES = ("Hires ", "Denoising strength")
"""How the host's own entries about a hires pass begin."""

NATIVE_CHOICES = ["Use same choices"]
"""Forge's word for a hires pass with the modules of the first."""


@dataclass(frozen=True)
class Composition:
    """Both stages of one picture: (height, width) in image pixels of the `first`, and of the `finished` picture.

    `before` is what the processing object's attributes were.
    """

    first: Size
    finished: Size
    before: Mapping[str, Any]
    lora: str = ""
    tiles_lora: str = ""

    def add_loras(self, p: Any) -> None:
        """Have the host take each pass's LoRA along in that pass, as if its prompt named it.

        For right after the host has read the prompts of a batch.
        """
        for name, attribute in ((self.lora, "extra_network_data"), (self.tiles_lora, "hr_extra_network_data")):
            if name:
                data = {kind: list(given) for kind, given in (getattr(p, attribute) or {}).items()}
                data.setdefault("lora", []).append(extra_networks.ExtraNetworkParams(items=[name, "1"]))
                setattr(p, attribute, data)

    def undo(self, p: Any) -> None:
        """Give the processing object its own attributes back."""
        for name, value in self.before.items():
            setattr(p, name, value)


def compose(p: Any, settings: Settings, native: int) -> Composition | None:
    """Let `p`, whose size is the final one, be made in two stages; None where there is nothing to compose first.

    Raises SettingsError for an upscaler or a LoRA that the host has not.
    """
    if why_not(p, settings, native) is not None:
        return None
    first = first_size((p.height, p.width), native)
    assert first is not None
    changes = {
        "enable_hr": True,
        "width": first[1],
        "height": first[0],
        "hr_resize_x": p.width,
        "hr_resize_y": p.height,
        "hr_upscaler": _known(settings.compose_upscaler),
        "hr_second_pass_steps": second_steps(p.steps, settings.compose_strength),
        "denoising_strength": settings.compose_strength,
        "hr_checkpoint_name": None,
        "hr_cfg": settings.compose_guidance or p.cfg_scale,
        "hr_additional_modules": NATIVE_CHOICES,
    }
    known = {name: value for name, value in changes.items() if hasattr(p, name)}
    composition = Composition(
        first,
        (settings.height or p.height, settings.width or p.width),
        {name: getattr(p, name) for name in known},
        _known_lora("compose_lora", settings.compose_lora),
        _known_lora("compose_tiles_lora", settings.compose_tiles_lora),
    )
    for name, value in known.items():
        setattr(p, name, value)
    return composition


def why_not(p: Any, settings: Settings, native: int) -> str | None:
    """Why a picture is not composed first, in words for its metadata; None where it is."""
    if not settings.compose:
        return ""
    if not hasattr(p, "enable_hr"):
        return "compose has no effect where a picture is given: it is the composition"
    if p.enable_hr:
        return "compose has no effect with a hires pass of your own, whose first pass is the composition"
    if first_size((p.height, p.width), native) is None:
        return "compose has no effect on a picture of about the model's own area"
    return None


def upscalers() -> list[str]:
    """What can enlarge the first picture: the host's upscalers, and its ways to enlarge latents."""
    return [*(one.name for one in shared.sd_upscalers), *shared.latent_upscale_modes]


def _known(upscaler: str) -> str:
    if upscaler not in (known := upscalers()):
        choices = messages.ONE_OF(choices=", ".join(known))
        raise SettingsError(messages.MUST_BE(name="compose_upscaler", allowed=choices, value=repr(upscaler)))
    return upscaler


def loras() -> list[str]:
    """The names of the LoRAs that the host's own support for them has found; none where it is switched off."""
    return sorted(getattr(sys.modules.get("networks"), "available_networks", {}), key=str.lower)


def _known_lora(setting: str, name: str) -> str:
    if name and name not in loras():
        with suppress(AttributeError, KeyError):  # the file may be new
            sys.modules["networks"].list_available_networks()
    if name and name not in (known := loras()):
        choices = messages.EMPTY_OR_ONE_OF(choices=", ".join(known) or messages.NO_LORA())
        raise SettingsError(messages.MUST_BE(name=setting, allowed=choices, value=repr(name)))
    return name


def without_hires_entries(parameters: dict[str, Any]) -> None:
    """Take from a picture's metadata what the host says of the hires pass that was not asked for."""
    for name in [name for name in parameters if name.startswith(HIRES_ENTRIES)]:
        del parameters[name]
