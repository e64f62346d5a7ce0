"""Every option, put together from where it is declared. The page, the API, infotext, X/Y/Z axes and docs follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lib_instantas.errors import SettingsError
from lib_instantas.methods import MethodOptions
from lib_instantas.methods.options import (
    EDGE_PAIRS,
    EDGES,
    Batch,
    Bridging,
    Choice,
    Fit,
    Holding,
    Overlap,
    Reach,
    StyleOptions,
    TileSide,
    Wrap,
)
from lib_instantas.option_groups import (
    LARGEST_SIDE,
    BackgroundOptions,
    BindingOptions,
    ComposeOptions,
    FidelityOptions,
    InversionOptions,
    PictureSize,
    RegionOptions,
    Switch,
    ToldSizeOptions,
    UpscaleOptions,
    VAEOptions,
)
from lib_instantas.options import ErrorWrapper, ValidationError, allowed_by, kind
from lib_instantas.region_borders import NONE, change_along, region_borders
from lib_instantas.texts import messages
from lib_instantas.texts.message import joined
from lib_instantas.tiling import Size

__all__ = [
    "EDGES",
    "EDGE_PAIRS",
    "LARGEST_SIDE",
    "Settings",
    "SettingsError",
    "allowed",
    "is_free_text",
    "kind",
    "names",
    "option",
    "parse_settings",
]


class Settings(
    # What is named last comes first in the page and in positional arguments; MethodOptions only adds its name.
    MethodOptions,
    FidelityOptions,
    BackgroundOptions,
    InversionOptions,
    BindingOptions,
    UpscaleOptions,
    ToldSizeOptions,
    Holding,
    ComposeOptions,
    Reach,
    Wrap,
    VAEOptions,
    StyleOptions,
    RegionOptions,
    PictureSize,
    Batch,
    TileSide,
    Fit,
    Bridging,
    Overlap,
    Choice,
    Switch,
):
    """What a user can set. Sizes are image pixels; 0 means "found out by itself"."""

    @property
    def may_tile_vae(self) -> bool:
        """Whether the autoencoder works in tiles where the whole picture would not fit."""
        return self.vae != "off" or self.must_tile_vae

    @property
    def must_tile_vae(self) -> bool:
        """Whether it does so in any case: because that is asked for, or because the picture is closed on itself."""
        return self.vae == "on" or self.wrap != "off"

    @property
    def inverts_noise(self) -> bool:
        """Whether a given picture begins with noise that leads back to it."""
        return self.noise_inversion > 0 and self.may_invert_noise

    @property
    def may_invert_noise(self) -> bool:
        """Whether noise can be inverted with the method.

        Not with ScaleCrafter: its kernels change from evaluation to evaluation, on the way back in the other order.
        """
        return self.method != "ScaleCrafter"

    @property
    def edges_in_use(self) -> tuple[str, str]:
        """As without regions, but that swaying edges are elastic where regions change: a ring would join its ends."""
        changes = change_along(self.regions) if self.regions else (False, False)
        vertical, horizontal = (
            "elastic" if edges == "sway" and change else edges
            for edges, change in zip(super().edges_in_use, changes, strict=True)
        )
        return vertical, horizontal

    def stops(self, canvas: Size) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The hard borders of the regions."""
        return region_borders(self.regions, canvas) if self.regions else NONE


def option(name: str) -> Any:
    """The declared label, help, limits (ge, le, step) and choices of one setting, with its default and type."""
    return Settings.__fields__[name]


def names() -> tuple[str, ...]:
    """All settings in the order of declaration: the order of the page and of positional API arguments."""
    return tuple(Settings.__fields__)


def allowed(name: str) -> str:
    """What a setting accepts, as a message."""
    return allowed_by(option(name))


def is_free_text(name: str) -> bool:
    """Whether a setting is a text of any content, such as a description of regions."""
    return kind(option(name)) is str and "choices" not in option(name).field_info.extra


def parse_settings(values: Mapping[str, Any]) -> Settings:
    """Settings from a mapping of names to values; what is missing keeps its default.

    Raises SettingsError for an unknown name, a wrong type or a value out of its limits, naming all of them.
    """
    if not isinstance(values, Mapping):
        raise SettingsError(messages.NOT_AN_OBJECT(value=_shown(values)))
    try:
        return Settings(**{str(key): value for key, value in values.items()})
    except ValidationError as error:
        raise SettingsError(joined(_messages(error, values), messages.NEXT)) from None


def _messages(error: ValidationError, values: Mapping[str, Any]) -> Iterator[str]:
    raised = (one for one in error.raw_errors if isinstance(one, ErrorWrapper))
    reasons = {str(one.loc_tuple()[0]): one.exc for one in raised}
    for name, reason in reasons.items():
        if name == "regions" and isinstance(reason, SettingsError):
            yield reason.message
        elif name == "style_reference" and isinstance(values[name], str):
            yield messages.PROBLEM(name=name, problem=reason.args[0], value=_shown(values[name]))
        elif name not in Settings.__fields__:
            yield messages.UNKNOWN_SETTING(name=_shown(name), known=", ".join(names()))
        else:
            yield messages.MUST_BE(name=name, allowed=allowed(name), value=_shown(values[name]))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
