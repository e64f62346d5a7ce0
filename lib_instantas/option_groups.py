"""The settings that do not belong to a method, each group declared once; `settings.Settings` puts all together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib_instantas.capabilities import Capability
from lib_instantas.options import Field, Options, validator
from lib_instantas.regions import RegionSetup
from lib_instantas.regions_json import canonical_text, setup_from_text
from lib_instantas.texts.messages import NO_REGIONS

if TYPE_CHECKING:
    from lib_instantas.settings import Settings

LARGEST_SIDE = 32768


class Switch(Options):
    """Whether anything is done at all."""

    enabled: bool = Field(False, label="Enabled", help="Make the picture in tiles of the size the model knows.")


def _side(name: str) -> Any:
    return Field(
        0,
        label=name.capitalize(),
        ge=0,
        le=LARGEST_SIDE,
        step=1,
        allowed=f"0 (the page's own) or a whole number between 64 and {LARGEST_SIDE}",
        help=f"Picture {name} in pixels, to the pixel; 0: the page's.",
    )


class PictureSize(Options):
    """The picture's own size."""

    width: int = _side("width")
    height: int = _side("height")

    @validator("width", "height")
    def _not_smaller_than_a_latent_tile(cls, value: int) -> int:  # noqa: N805 (pydantic hands over the class)
        if 0 < value < 64:
            raise ValueError("too small")
        return value


class RegionOptions(Options):
    """Prompts for parts of the picture."""

    regions: str = Field(
        "",
        label="Regions",
        allowed="a JSON object of regions, or its text; empty: none",
        needs=Capability.REGIONS,
        help="Parts of the picture with prompts of their own: JSON, drawn on the InstantAS tab; empty: none.",
    )

    @validator("regions", pre=True)
    def _canonical_regions(cls, value: Any) -> Any:  # noqa: N805
        """As a text or as the JSON object itself, checked through and through."""
        return canonical_text(value)

    @property
    def region_setup(self) -> RegionSetup:
        """The regions as values."""
        return setup_from_text(self.regions)


def _untiled(settings: Settings) -> str | None:
    return None if settings.may_tile_vae else "vae off"


class VAEOptions(Options):
    """How pictures become latents and back."""

    vae: str = Field(
        "auto",
        label="VAE in tiles",
        choices=("auto", "on", "off"),
        needs=Capability.KNOWN_VAE,
        free=("auto", "off"),
        help="Decode and encode in tiles, with the same result: auto, where the whole picture would not fit in memory.",
    )
    vae_tile: int = Field(
        512,
        label="VAE tile size",
        ge=64,
        le=4096,
        step=64,
        idle_beside=_untiled,
        help="Side of a VAE tile in pixels: smaller needs less memory. The picture stays the same.",
    )
    vae_mode: str = Field(
        "exact",
        label="VAE mode",
        choices=("exact", "fast"),
        idle_beside=_untiled,
        help="exact: as if not tiled, where main memory has room. fast: a third of that memory, colours and contrast a "
        "little off.",
    )


class UpscaleOptions(Options):
    """How a given picture is enlarged before tiles finish it."""

    upscale_by: float = Field(
        1.0,
        label="Upscale by",
        ge=1,
        le=8,
        step=0.25,
        needs=Capability.GIVEN_PICTURE,
        help="How many times as high and wide as the given picture img2img's result is; 1: the page's size. Width and "
        "height of your own come before it. A denoising strength of 0.2 to 0.4 keeps what the picture shows. txt2img "
        "enlarges its own finished picture, at a strength of 0.3.",
    )
    upscaler: str = Field(
        "Lanczos",
        label="Upscaler",
        allowed="the name of an upscaler of the host",
        idle_beside=lambda settings: "upscale_by 1" if settings.upscale_by == 1 else None,
        help="What enlarges the given picture before the tiles add detail: any upscaler of the host.",
    )


class InversionOptions(Options):
    """What noise a given picture begins with."""

    noise_inversion: int = Field(
        0,
        label="Noise inversion, evaluations",
        ge=0,
        le=100,
        step=1,
        needs=Capability.GIVEN_PICTURE,
        idle_beside=lambda settings: None if settings.may_invert_noise else f"method {settings.method}",
        help="img2img: begin with the noise that leads back to the given picture, found in so many more evaluations, "
        "so that the result keeps more of it. 10 are enough; 0: noise from the seed.",
    )


class FidelityOptions(Options):
    """How much of a given picture stays as it was."""

    fidelity: float = Field(
        0.0,
        label="Fidelity to the given picture",
        ge=0,
        le=1,
        step=0.05,
        help="How strongly colours and large shapes stay those of the picture that a pass begins with, while tiles add "
        "detail: in img2img, upscaling, a hires pass and the second stage of Compose first. 1: wholly; 0: not at all.",
    )


class ToldSizeOptions(Options):
    """What the model is told about a tile."""

    told_size: str = Field(
        "tile",
        label="Size told to SDXL",
        choices=("tile", "crop", "canvas"),
        needs=Capability.SIZES,
        free=("tile", "canvas"),
        help="What SDXL is told that it paints: a picture of the tile's size, a crop of the whole picture, or for each "
        "tile the whole picture, as the host has it. Other models are told no size.",
    )


def _composes_not(settings: Settings) -> str | None:
    return None if settings.compose else "compose off"


def _lora_of(part: str, stage: str, taught: str) -> Any:
    return Field(
        "",
        label=f"Compose: LoRA of the {part}",
        allowed="empty, or a LoRA: its name as in <lora:NAME:1>, or standalone its file",
        idle_beside=_composes_not,
        help=f"A LoRA for the {stage} stage alone, such as one that taught the model {taught}; empty: none.",
    )


class ComposeOptions(Options):
    """Two stages: a small picture of the whole, then tiles over it enlarged (Any-Size-Diffusion)."""

    compose: bool = Field(
        False,
        label="Compose first",
        needs=Capability.TWO_STAGES,
        help="Make the picture small first, at the size the model knows, so that it is one picture; then enlarge it "
        "and let the tiles add detail.",
    )
    compose_strength: float = Field(
        0.5,
        label="Compose: strength",
        ge=0.05,
        le=1,
        step=0.05,
        idle_beside=_composes_not,
        help="How much of the enlarged picture the tiles may change, as in img2img: less keeps it, more adds detail.",
    )
    compose_guidance: float = Field(
        0.0,
        label="Compose: CFG scale of the tiles",
        ge=0,
        le=30,
        step=0.5,
        idle_beside=_composes_not,
        help="CFG scale of the second stage: lower keeps tiles from adding the prompt's subject again; 0: as in the "
        "first.",
    )
    compose_upscaler: str = Field(
        "Lanczos",
        label="Compose: upscaler",
        allowed="the name of an upscaler of the host",
        idle_beside=_composes_not,
        help="What enlarges the first picture.",
    )
    compose_lora: str = _lora_of("first stage", "first", "other ratios")
    compose_tiles_lora: str = _lora_of("tiles", "second", "close-ups")

    @validator("compose_lora", "compose_tiles_lora")
    def _without_spaces_around(cls, value: str) -> str:  # noqa: N805
        return value.strip()


class BackgroundOptions(Options):
    """What the second of two stages is asked for where the prompt's thing is not."""

    compose_background: str = Field(
        "",
        label="Compose: background prompt",
        allowed="empty, or the prompt without its thing",
        needs=Capability.REGIONS,
        idle_beside=_composes_not,
        help="The prompt without its thing: a meadow by day, where the prompt is a house in a meadow by day. Tiles are "
        "asked for the thing only where the first stage has put it, and do not paint it again; empty: everywhere.",
    )

    @validator("compose_background")
    def _background_without_spaces_around(cls, value: str) -> str:  # noqa: N805
        return value.strip()


class BindingOptions(Options):
    """How hard regions are bound while the layout forms."""

    region_binding: int = Field(
        0,
        label="Hard regions, evaluations",
        ge=0,
        le=20,
        step=1,
        needs=Capability.REGIONS,
        idle_beside=lambda settings: None if settings.region_setup.active else NO_REGIONS(),
        help="For so many evaluations at the beginning each region is painted by itself: sharp, and without a look at "
        "what is around it. 2 or 3 keep things from wandering out of their regions; 0: never.",
    )
