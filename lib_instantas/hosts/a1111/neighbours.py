"""Other extensions and options of the host that cannot act beside tiles, and so are refused by name before sampling.

Found by what they are called and what they are set to, since they have no interface to ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modules import shared

from lib_instantas.settings import Settings, SettingsError
from lib_instantas.texts import messages
from lib_instantas.texts.message import joined

try:
    from modules import sd_unet
except ImportError:
    sd_unet = None  # Some hosts know no other UNets than the model's own.


def check_neighbours(p: Any, settings: Settings) -> None:
    """Raises SettingsError if something else is switched on for this generation that tiles cannot be combined with."""
    if settings.method == "direct":
        return
    clashes = [*_extensions(p), *_host_options(), *_replaced_unet(settings)]
    if clashes:
        raise SettingsError(joined(clashes, messages.NEXT))


def _extensions(p: Any) -> Iterator[str]:
    if _argument(p, "Tiled Diffusion", 0) is True:
        yield messages.TILED_DIFFUSION()
    if _argument(p, "MultiDiffusion Integrated", 0) is True:
        yield messages.MULTIDIFFUSION()
    if _argument(p, "HyperTile Integrated", 0) is True:
        yield messages.HYPERTILE()
    if _argument(p, "Regional Prompter", 0) is True and _argument(p, "Regional Prompter", 11) == "Attention":
        yield messages.REGIONAL_PROMPTER()


def _argument(p: Any, title: str, index: int) -> Any:
    """One of the values that this generation hands to another always-on script; None if there is no such script."""
    for script in getattr(getattr(p, "scripts", None), "alwayson_scripts", ()):
        if script.title() == title and script.args_from is not None:
            values = p.script_args[script.args_from : script.args_to]
            return values[index] if index < len(values) else None
    return None


def _replaced_unet(settings: Settings) -> Iterator[str]:
    """The host's setting SD Unet lets TensorRT or OneDiff answer, whose layers nobody can reach."""
    if sd_unet is None or sd_unet.get_unet_option() is None:
        return
    if settings.region_setup.active:
        yield messages.REGIONS_WITHOUT_UNET(name="regions")
    if settings.compose and settings.compose_background:
        yield messages.REGIONS_WITHOUT_UNET(name="compose_background")
    if settings.method == "ScaleCrafter":
        yield messages.SCALECRAFTER_WITHOUT_UNET()


def _host_options() -> Iterator[str]:
    for option in ("hypertile_enable_unet", "hypertile_enable_unet_secondpass"):
        if getattr(shared.opts, option, False):
            yield messages.HOSTS_HYPERTILE(option=option)
