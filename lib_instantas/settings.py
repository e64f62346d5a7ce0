"""Every option, declared once. The page, the API, infotext, X/Y/Z axes and the docs are derived from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lib_instantas.errors import SettingsError
from lib_instantas.methods import NAMES as METHOD_NAMES
from lib_instantas.regions import RegionSetup
from lib_instantas.regions_json import canonical_text, setup_from_text
from lib_instantas.style_reference import parse_reference
from lib_instantas.tiling import LATENT_SCALE

try:
    # The first pydantic API, which both the WebUI's pydantic 1.10 and pydantic 2 provide.
    from pydantic.v1 import BaseModel, Extra, Field, ValidationError, validator
    from pydantic.v1.fields import ModelField
except ImportError:
    from pydantic import BaseModel, Extra, Field, ValidationError, validator  # type: ignore[assignment,no-redef]
    from pydantic.fields import ModelField  # type: ignore[attr-defined,no-redef]

LARGEST_SIDE = 32768
EDGES = ("elastic", "clamp", "ring")
EDGE_PAIRS = tuple(f"{y}/{x}" for y in EDGES for x in EDGES if y != x)


class Settings(BaseModel):
    """What a user can set. Sizes are image pixels; 0 means "found out by itself"."""

    enabled: bool = Field(False, label="Enabled", help="Make the picture in tiles of the size the model knows.")
    method: str = Field(
        "InstantAS",
        label="Method",
        choices=METHOD_NAMES,
        help="InstantAS: tiles that do not overlap and move at every step. MultiDiffusion, Mixture of Diffusers and "
        "Guided Fusion: overlapping tiles, averaged (slower). FSTD: tiles at a random offset, what none covers is "
        "kept as it was. ScaleCrafter: the whole picture through convolutions that reach further, so that its subject "
        "is not repeated. SyncDiffusion and ElasticDiffusion: standalone only, for comparison. direct: the whole "
        "picture at once.",
    )
    overlap: float = Field(
        0.5,
        label="Overlap",
        ge=0,
        le=0.95,
        step=0.025,
        help="Share of a tile's side that it has in common with the next, for the methods that average tiles.",
    )
    gamma: float = Field(
        0.25,
        label="Bridging γ",
        ge=0,
        le=1,
        step=0.005,
        help="How far a cyclic grid moves at a time, as a share of a tile. Other schedules ignore it.",
    )
    schedule: str = Field(
        "golden",
        label="Schedule",
        choices=("golden", "cyclic", "random"),
        help="Where the grid moves: golden spreads its places evenly, cyclic moves on by γ (paper), random by seed.",
    )
    edges: str = Field(
        "elastic",
        label="Edges",
        choices=(*EDGES, *EDGE_PAIRS),
        help="At the picture's border: elastic moves the inner lines only, clamp adds tiles, ring wraps around "
        "(paper). Two words set the vertical and the horizontal axis apart.",
    )
    movement: str = Field(
        "alternate",
        label="Movement",
        choices=("alternate", "together"),
        help="Where both axes are tiled: one axis at a time (paper), or both at every step.",
    )
    fit: str = Field(
        "fitted",
        label="Tile fit",
        choices=("fitted", "native"),
        help="fitted: tiles of 0.75 to 1.25 of the model's size that share the picture evenly; native: the paper's.",
    )
    tile: int = Field(
        0,
        label="Tile size",
        ge=0,
        le=4096,
        step=64,
        allowed="0 (automatic) or a multiple of 64 up to 4096",
        help="Side of a tile in pixels; 0: the size the model knows.",
    )
    tile_batch: int = Field(
        0, label="Tiles at once", ge=0, le=64, step=1, help="Tiles in one UNet call; 0: as many as are good."
    )
    width: int = Field(
        0,
        label="Width",
        ge=0,
        le=LARGEST_SIDE,
        step=1,
        allowed=f"0 (the page's own) or a whole number between 64 and {LARGEST_SIDE}",
        help="Picture width in pixels, to the pixel; 0: the page's.",
    )
    height: int = Field(
        0,
        label="Height",
        ge=0,
        le=LARGEST_SIDE,
        step=1,
        allowed=f"0 (the page's own) or a whole number between 64 and {LARGEST_SIDE}",
        help="Picture height in pixels, to the pixel; 0: the page's.",
    )

    regions: str = Field(
        "",
        label="Regions",
        allowed="a JSON object of regions, or its text; empty: none",
        help="Parts of the picture with prompts of their own: JSON, drawn on the InstantAS tab; empty: none.",
    )
    style_alignment: float = Field(
        0.0,
        label="Style alignment α",
        ge=0,
        le=1,
        step=0.05,
        help="Turns the noise each tile begins with towards one reference: zones of unrelated colour become alike, 1 "
        "repeats the same tile (0.4 in its paper). First pass only; 0: off.",
    )
    style_reference: str = Field(
        "",
        label="Style reference",
        allowed="empty, a seed, or a picture as a data URL (data:image/png;base64,...; png, jpeg or webp)",
        help="What tiles are aligned with: empty: noise of the picture's seed; a number: of that seed; or a picture as "
        "a data URL.",
    )

    vae: str = Field(
        "auto",
        label="VAE in tiles",
        choices=("auto", "on", "off"),
        help="Decode and encode in tiles, with the same result: auto, where the whole picture would not fit in memory.",
    )
    vae_tile: int = Field(
        512,
        label="VAE tile size",
        ge=64,
        le=4096,
        step=64,
        help="Side of a VAE tile in pixels: smaller needs less memory. The picture stays the same.",
    )
    vae_mode: str = Field(
        "exact",
        label="VAE mode",
        choices=("exact", "fast"),
        help="exact: as if not tiled. fast: less main memory, colours and contrast a little off.",
    )
    wrap: str = Field(
        "off",
        label="Wrap",
        choices=("off", "horizontal", "vertical", "both"),
        help="Opposite edges of the picture meet: horizontal for 360-degree panoramas, both for textures.",
    )

    dilation: float = Field(
        0.0,
        label="Dilation",
        ge=0,
        le=8,
        step=0.25,
        help="ScaleCrafter: how many times as far convolutions reach; 0: the picture's shorter side over the model's.",
    )
    dilated_levels: int = Field(
        1,
        label="Dilated levels",
        ge=1,
        le=3,
        step=1,
        help="ScaleCrafter: how many of the UNet's levels, the deepest first. More move larger things (paper: 1).",
    )

    class Config:
        """Nothing that is not declared, and no change after the check."""

        extra = Extra.forbid
        allow_mutation = False

    @validator("regions", pre=True)
    def _canonical_regions(cls, value: Any) -> Any:  # noqa: N805 (pydantic hands over the class)
        """As a text or as the JSON object itself, checked through and through."""
        return canonical_text(value)

    @validator("style_reference")
    def _readable_reference(cls, value: str) -> str:  # noqa: N805
        parse_reference(value)
        return value.strip()

    @validator("*", pre=True)
    def _no_loose_types(cls, value: Any, field: ModelField) -> Any:  # noqa: N805
        """A number is not a switch, a fraction not a count: say so instead of converting it."""
        wanted = kind(field)
        if wanted is int and isinstance(value, float) and value.is_integer():
            return int(value)
        accepted = (int, float) if wanted is float else (wanted,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and wanted is not bool):
            raise ValueError(f"not a {wanted.__name__}")
        return value

    @validator("*")
    def _one_of_the_choices(cls, value: Any, field: ModelField) -> Any:  # noqa: N805
        choices = field.field_info.extra.get("choices")
        if choices and value not in choices:
            raise ValueError("not one of the choices")
        return value

    @validator("tile")
    def _whole_latents(cls, value: int) -> int:  # noqa: N805
        if value and (value < 64 or value % 64):
            raise ValueError("not a multiple of 64")
        return value

    @validator("width", "height")
    def _not_smaller_than_a_latent_tile(cls, value: int) -> int:  # noqa: N805
        if 0 < value < 64:
            raise ValueError("too small")
        return value

    def native_side(self, model_side: int) -> int:
        """Side of a tile, latent pixels: the setting, or the side the model knows."""
        return self.tile // LATENT_SCALE or model_side

    @property
    def region_setup(self) -> RegionSetup:
        """The regions as values."""
        return setup_from_text(self.regions)

    @property
    def edges_per_axis(self) -> tuple[str, str]:
        """What happens at the picture's border on the (vertical, horizontal) axis."""
        vertical, _, horizontal = self.edges.partition("/")
        return vertical, horizontal or vertical

    @property
    def wraps_per_axis(self) -> tuple[bool, bool]:
        """Whether the picture is closed on itself on the (vertical, horizontal) axis."""
        return self.wrap in ("vertical", "both"), self.wrap in ("horizontal", "both")


def option(name: str) -> Any:
    """The declared label, help, limits (ge, le, step) and choices of one setting, with its default and type."""
    return Settings.__fields__[name]


def kind(field: ModelField) -> type:
    """bool, int, float or str: what a setting is, whatever limits it has."""
    return type(field.default)


def names() -> tuple[str, ...]:
    """All settings in the order of declaration: the order of the page and of positional API arguments."""
    return tuple(Settings.__fields__)


def parse_settings(values: Mapping[str, Any]) -> Settings:
    """Settings from a mapping of names to values; what is missing keeps its default.

    Raises SettingsError for an unknown name, a wrong type or a value out of its limits, naming all of them.
    """
    if not isinstance(values, Mapping):
        raise SettingsError(f"settings must be an object of named values, got {_shown(values)}")
    try:
        return Settings(**{str(key): value for key, value in values.items()})
    except ValidationError as error:
        raise SettingsError("; ".join(_messages(error, values))) from None


def _messages(error: ValidationError, values: Mapping[str, Any]) -> Iterator[str]:
    problems = {str(problem["loc"][0]): problem["msg"] for problem in error.errors()}
    for name, message in problems.items():
        if name == "regions":
            yield message.removeprefix("InstantAS: ")
        elif name == "style_reference" and isinstance(values[name], str):
            yield f"{name} {message}, got {_shown(values[name])}"
        elif name not in Settings.__fields__:
            yield f"unknown setting {name!r}; known are {', '.join(names())}"
        else:
            yield f"{name} must be {allowed(name)}, got {_shown(values[name])}"


def allowed(name: str) -> str:
    """What a setting accepts, in words."""
    field = option(name)
    info, extra = field.field_info, field.field_info.extra
    if "allowed" in extra:
        return extra["allowed"]
    if "choices" in extra:
        return "one of " + ", ".join(extra["choices"])
    if kind(field) is bool:
        return "true or false"
    prefix = "a whole number " if kind(field) is int else ""
    return f"{prefix}between {info.ge:g} and {info.le:g}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
