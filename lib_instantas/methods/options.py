"""The settings that methods read, each group declared once; a method names the groups that it reads."""

from __future__ import annotations

from lib_instantas.capabilities import Capability
from lib_instantas.options import Field, Options, validator
from lib_instantas.style_reference import parse_reference
from lib_instantas.tiling import LATENT_SCALE, Size

EDGES = ("elastic", "clamp", "ring", "sway")
EDGE_PAIRS = tuple(f"{y}/{x}" for y in EDGES for x in EDGES if y != x)


class Names(list[str]):
    """A list that stays one list where pydantic copies what fields declare: names are added later."""

    def __deepcopy__(self, memo: dict[int, object]) -> Names:
        return self


NAMES = Names()
"""The names of all methods in the order in which they are offered; `register` fills it."""


class Choice(Options):
    """Which method makes the picture."""

    method: str = Field(
        "InstantAS",
        label="Method",
        choices=NAMES,
        help="How the picture is made.",
    )


class Overlap(Options):
    """For methods that average tiles."""

    overlap: float = Field(
        0.5,
        label="Overlap",
        ge=0,
        le=0.95,
        step=0.025,
        help="Share of a tile's side that it has in common with the next, for the methods whose tiles overlap.",
    )


class Bridging(Options):
    """How a grid of tiles moves from one evaluation to the next."""

    gamma: float = Field(
        0.25,
        label="Bridging γ",
        ge=0,
        le=1,
        step=0.005,
        idle_beside=lambda settings: None if settings.schedule == "cyclic" else f"schedule {settings.schedule}",
        help="How far a cyclic grid moves at a time, as a share of a tile, whatever the edges. On elastic and sway "
        "edges lines have half a tile of room: with 0.5 they come back at once and stand still. Other schedules "
        "ignore it.",
    )
    schedule: str = Field(
        "golden",
        label="Schedule",
        choices=("golden", "cyclic", "random"),
        help="Where the grid moves: golden spreads its places evenly, cyclic moves on by γ (paper), random by seed.",
    )
    edges: str = Field(
        "elastic/sway",
        label="Edges",
        choices=(*EDGES, *EDGE_PAIRS),
        idle_beside=lambda settings: "wrap both" if settings.wrap == "both" else None,
        help="At the picture's border: elastic moves the inner lines only, clamp adds tiles, ring wraps around "
        "(paper), sway wraps around and goes to and fro. Two words set the vertical and the horizontal axis apart. An "
        "axis that wraps is a ring.",
    )
    movement: str = Field(
        "alternate",
        label="Movement",
        choices=("alternate", "together"),
        help="Where both axes are tiled: one axis at a time (paper), or both at every step.",
    )

    @property
    def edges_per_axis(self) -> tuple[str, str]:
        """What happens at the picture's border on the (vertical, horizontal) axis."""
        vertical, _, horizontal = self.edges.partition("/")
        return vertical, horizontal or vertical


class Holding(Options):
    """Whether a grid moves within a step."""

    hold: bool = Field(
        False,
        label="Hold within a step",
        help="With samplers that ask the model twice in a step (Heun, DPM2, DPM++ SDE): tiles move between steps only, "
        "as in the paper.",
    )


class Fit(Options):
    """How tiles share an axis."""

    fit: str = Field(
        "uniform",
        label="Tile fit",
        choices=("uniform", "fitted", "native", "fixed"),
        help="uniform: tiles of 0.75 to 1.25 of the model's size that share the picture evenly, few shapes of them; "
        "fitted: the same, each as small as can be; native: the paper's, all of the model's size. Elastic edges "
        "stretch native tiles at the border by up to a quarter; clamp and ring never do. fixed: one shape, the tile "
        "size, for models compiled for it.",
    )


class TileSide(Options):
    """How large tiles are."""

    tile: int = Field(
        0,
        label="Tile size",
        ge=0,
        le=4096,
        step=64,
        allowed="0 (automatic) or a multiple of 64 up to 4096",
        help="Side of a tile in pixels; 0: the size the model knows.",
    )

    @validator("tile")
    def _whole_latents(cls, value: int) -> int:  # noqa: N805
        if value and (value < 64 or value % 64):
            raise ValueError("not a multiple of 64")
        return value

    def native_side(self, model_side: int) -> int:
        """Side of a tile, latent pixels: the setting, or the side the model knows."""
        return self.tile // LATENT_SCALE or model_side


class Wrap(Options):
    """A picture whose opposite borders meet."""

    wrap: str = Field(
        "off",
        label="Wrap",
        choices=("off", "horizontal", "vertical", "both"),
        needs=Capability.KNOWN_VAE,
        help="Opposite edges of the picture meet: horizontal for 360-degree panoramas, both for textures.",
    )

    @property
    def wraps_per_axis(self) -> tuple[bool, bool]:
        """Whether the picture is closed on itself on the (vertical, horizontal) axis."""
        return self.wrap in ("vertical", "both"), self.wrap in ("horizontal", "both")


class Reach(Options):
    """How far convolutions reach."""

    dilation: float = Field(
        0.0,
        label="Dilation",
        ge=0,
        le=8,
        step=0.25,
        help="ScaleCrafter: how many times as far convolutions reach; 0: the picture's shorter side over the model's.",
    )
    dilated_levels: int = Field(
        0,
        label="Dilated levels",
        ge=0,
        le=3,
        step=1,
        help="ScaleCrafter: how many of the UNet's levels, the deepest first, by one factor; 0: as in the paper for "
        "this model and size. Far beyond the model's size that takes half as long again at each dilated step.",
    )


class StyleOptions(Options):
    """What the noise that tiles begin with resembles."""

    style_alignment: float = Field(
        0.0,
        label="Style alignment α",
        ge=0,
        le=1,
        step=0.05,
        needs=Capability.NOISE,
        help="Turns the noise each tile begins with towards one reference: zones of unrelated colour become alike, 1 "
        "repeats the same tile (0.4 in its paper). First pass only; 0: off.",
    )
    style_reference: str = Field(
        "",
        label="Style reference",
        allowed="empty, a seed, or a picture as a data URL (data:image/png;base64,...; png, jpeg or webp)",
        idle_beside=lambda settings: None if settings.style_alignment else "style_alignment 0",
        help="What tiles are aligned with: empty: noise of the picture's seed; a number: of that seed; or a picture as "
        "a data URL.",
    )

    @validator("style_reference")
    def _readable_reference(cls, value: str) -> str:  # noqa: N805
        parse_reference(value)
        return value.strip()


class Batch(Options):
    """How many tiles a model is asked about at once."""

    tile_batch: int = Field(
        0, label="Tiles at once", ge=0, le=64, step=1, help="Tiles in one UNet call; 0: as many as are good."
    )


class MethodOptions(Holding, Reach, Wrap, StyleOptions, Batch, TileSide, Fit, Bridging, Overlap, Choice):
    """All settings that methods read, and those of the noise that their tiles begin with."""

    @property
    def edges_in_use(self) -> tuple[str, str]:
        """`edges_per_axis`, but for an axis that the picture is closed on: that is a ring."""
        vertical, horizontal = (
            "ring" if wraps else edges for wraps, edges in zip(self.wraps_per_axis, self.edges_per_axis, strict=True)
        )
        return vertical, horizontal

    def stops(self, canvas: Size) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The rows and columns of a canvas, latent pixels, on which elastic lines stand that come near: none here."""
        return (), ()
