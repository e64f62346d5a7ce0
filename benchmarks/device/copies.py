"""What a card would wait for while a picture is made: python -m benchmarks.device [--json].

Counted on a card that is not there (see simulated_cuda), with a small UNet of diffusers' layout in half precision, two
rows, a canvas of two or eight tiles. Regions lie side by side, and their prompts are laid out anew for each evaluation,
as in the WebUI. A figure is the number of copies between card and main memory and of values read back, for each
evaluation after the first; the first brings to the card what a run needs.

Keys: `mismatches` (operations on tensors of two places or types, in all runs together), `doubles` (operations in
float64, which not every card has), `tiles_copies` (InstantAS with every edge, FSTD, SpotDiffusion, direct),
`averaging_copies` (MultiDiffusion, Mixture of Diffusers, Guided Fusion, Latent Swap, TwinDiffusion), `regions_copies`
(two and five prompts with each of these), `scalecrafter_copies`, each the most of any run; `vae_syncs_per_pass` (the
same for each layer of the tiled decoder and row of its tiles).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.device.simulated_cuda import Record, SimulatedCuda
from benchmarks.report import arguments, progress, result
from benchmarks.vae_models import real_autoencoder
from lib_instantas.attention import RegionalAttention
from lib_instantas.conditioning import lay_out
from lib_instantas.denoiser import Part, TiledDenoiser
from lib_instantas.methods import Redilated, Request, make_method
from lib_instantas.redilation import Redilation, levels_of
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.settings import parse_settings
from lib_instantas.shapes import Rectangle
from lib_instantas.tiling import Size
from lib_instantas.vae import Options, passes, tiled
from lib_instantas.vae.workspace import MODES

NATIVE = 16
CANVASES = ((16, 32), (32, 64))
TOKENS, TOKEN_WIDTH = 77, 16
EVALUATIONS = 4

TILES: tuple[dict[str, Any], ...] = (
    *({"method": "InstantAS", "edges": edges} for edges in ("elastic", "clamp", "ring", "ring/elastic")),
    *({"method": "InstantAS", "schedule": schedule} for schedule in ("cyclic", "random")),
    {"method": "InstantAS", "fit": "native", "movement": "together"},
    {"method": "InstantAS", "wrap": "both"},
    {"method": "FSTD"},
    {"method": "SpotDiffusion"},
    {"method": "direct"},
)
AVERAGING: tuple[dict[str, Any], ...] = tuple(
    {"method": name, "wrap": wrap}
    for name in ("MultiDiffusion", "Mixture of Diffusers", "Guided Fusion", "Latent Swap", "TwinDiffusion")
    for wrap in ("off", "both")
)
SCALECRAFTER: tuple[dict[str, Any], ...] = tuple(
    {"method": "ScaleCrafter", "dilation": factor} for factor in (1.5, 2, 3, 4)
)

Call = Callable[[Any, Tensor, Tensor, Tensor], Tensor]
"""(UNet, x [B, C, H, W], sigma [B], tokens [B, T, C]) -> the prediction."""


def diffusers_unet() -> Any:
    """A small UNet of diffusers' layout, with attention at two resolutions."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=NATIVE,
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=TOKEN_WIDTH,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )


def call_diffusers(unet: Any, x: Tensor, sigma: Tensor, tokens: Tensor) -> Tensor:
    """Ask a UNet of diffusers."""
    prediction: Tensor = unet(x, sigma, encoder_hidden_states=tokens).sample
    return prediction


@dataclass(frozen=True)
class Sampling:
    """A run on the card with a positive and a negative row for each picture.

    Of `prompts` the first is the main one, the others belong to regions side by side. `tokens` are the lengths of the
    positive and the negative prompts, `latents` is the precision of what is sampled, else that of the `weights`;
    `steps` is how many evaluations the method takes the run to have, `later` how many are made after the first.
    """

    settings: dict[str, Any]
    prompts: int = 1
    weights: torch.dtype = torch.float16
    latents: torch.dtype | None = None
    autocast: torch.dtype | None = None
    pictures: int = 1
    canvas: Size = CANVASES[0]
    tokens: tuple[int, int] = (TOKENS, TOKENS)
    token_width: int = TOKEN_WIDTH
    steps: int = 20
    later: int = EVALUATIONS

    def count(self, unet: Any, call: Call = call_diffusers) -> tuple[Record, Record]:
        """What happened in the first evaluation, and in those after it."""
        with SimulatedCuda() as card:
            run = _Run(self, card, card.put(unet, self.weights), call)
            return run.record(1), run.record(self.later)


class _Run:
    """One sampling at work."""

    def __init__(self, sampling: Sampling, card: SimulatedCuda, unet: Any, call: Call) -> None:
        self.sampling = sampling
        self.card = card
        self.setup = _side_by_side(sampling.prompts - 1)
        self.attention = RegionalAttention([unet], self.setup) if self.setup.active else None
        settings = parse_settings(sampling.settings)
        method = make_method(Request(sampling.canvas, NATIVE, settings, steps=sampling.steps, levels=levels_of(unet)))
        parts: list[Part] = [] if self.attention is None else [self.attention]
        if isinstance(method, Redilated):
            parts.append(Redilation(unet, method.dilation))
        self.denoiser = TiledDenoiser(
            lambda x, sigma, tokens, concat: call(unet, x, sigma, tokens),
            method,
            tile_batch=settings.tile_batch,
            parts=parts,
        )

    def record(self, evaluations: int) -> Record:
        """What happens in so many evaluations."""
        self.card.record = Record()
        kind = self.sampling.autocast
        with nullcontext() if kind is None else torch.autocast("cuda", dtype=kind):
            for _ in range(evaluations):
                self._evaluate()
        return self.card.record

    def _evaluate(self) -> None:
        rows, kind = 2 * self.sampling.pictures, self.sampling.latents or self.sampling.weights
        x = self.card.empty(rows, 4, *self.sampling.canvas, dtype=kind)
        concat = self.card.empty(rows, 5, *self.sampling.canvas, dtype=kind)
        sigma = self.card.empty(rows, dtype=torch.float32)
        prediction = self.denoiser(x, sigma, tokens=self._tokens(), concat=[concat])
        if prediction.shape != x.shape:
            raise AssertionError(f"got {tuple(prediction.shape)} for {tuple(x.shape)}")
        self.denoiser.next_evaluation()

    def _tokens(self) -> Tensor:
        groups = [
            [self._prompt(length + 2 * slot) for slot in range(self.sampling.prompts)]
            for length in self.sampling.tokens
        ]
        if self.attention is None:
            return torch.cat([group[0] for group in groups])
        rows, self.attention.layout = lay_out(*groups)
        return torch.cat(rows)

    def _prompt(self, length: int) -> Tensor:
        return self.card.empty(self.sampling.pictures, length, self.sampling.token_width, dtype=self.sampling.weights)


def _side_by_side(count: int) -> RegionSetup:
    """Regions that share the picture's width but for its last part, the borders soft."""
    width = 1 / (count + 1)
    return RegionSetup(tuple(Region(Rectangle(i * width, 0, width, 1), feather=0.05) for i in range(count)))


def copies(record: Record) -> float:
    """Copies and values read back for an evaluation."""
    return (sum(record.copies.values()) + sum(record.syncs.values())) / EVALUATIONS


@dataclass
class Tally:
    """What all runs together did that none may do."""

    mismatches: int = 0
    doubles: int = 0
    places: set[str] = field(default_factory=set)

    def most(self, samplings: Sequence[Sampling], unet: Callable[[], Any] = diffusers_unet) -> float:
        """The most copies per evaluation in any of these runs."""
        return max(self._copies(sampling, unet()) for sampling in samplings)

    def _copies(self, sampling: Sampling, unet: Any) -> float:
        first, later = sampling.count(unet)
        for record in (first, later):
            self.add(record)
        self.places |= {*later.copies, *later.syncs}
        progress(f"{sampling.settings} {sampling.prompts} prompts, {sampling.canvas}: {copies(later):g} copies")
        return copies(later)

    def add(self, record: Record) -> None:
        """Count what may not be in a record."""
        self.mismatches += sum(record.mismatches.values())
        self.doubles += sum(record.doubles.values())
        self.places |= {*record.mismatches, *record.doubles}


def vae_syncs_per_pass(tally: Tally, mode: str) -> float:
    """Values read back and copies while a picture is decoded in tiles, for each layer and row of tiles."""
    with SimulatedCuda() as card, _counted_rows() as rows:
        model = card.put(real_autoencoder((32, 64, 64, 64)))
        latents = card.empty(1, 4, 64, 64)
        with tiled(model, Options(tile=128, mode=mode)):
            model.decode(latents)
    tally.add(card.record)
    return (sum(card.record.copies.values()) + sum(card.record.syncs.values())) / sum(rows)


@contextmanager
def _counted_rows() -> Iterator[list[int]]:
    """Inside, the number of rows of tiles of each layer is noted."""
    rows: list[int] = []
    grid = passes.grid

    def noted(size: Size, area: int) -> Any:
        tiles = grid(size, area)
        rows.append(len({tile.top for tile in tiles}))
        return tiles

    with mock.patch.object(passes, "grid", noted):
        yield rows


def measure() -> dict[str, float]:
    """All figures."""
    tally = Tally()
    regions = [
        Sampling(settings, prompts, tokens=tokens)
        for settings in (*TILES, *AVERAGING, *SCALECRAFTER)
        for prompts, tokens in ((2, (60, TOKENS)), (5, (2 * TOKENS, TOKENS)))
    ]
    figures = {
        "tiles_copies": tally.most(_on_every_canvas(TILES)),
        "averaging_copies": tally.most(_on_every_canvas(AVERAGING)),
        "regions_copies": tally.most(regions),
        "scalecrafter_copies": tally.most(_on_every_canvas(SCALECRAFTER)),
        "vae_syncs_per_pass": max(vae_syncs_per_pass(tally, mode) for mode in MODES),
    }
    for place in sorted(tally.places):
        progress(place)
    return {"mismatches": tally.mismatches, "doubles": tally.doubles, **figures}


def _on_every_canvas(settings: Sequence[dict[str, Any]]) -> list[Sampling]:
    return [Sampling(values, canvas=canvas) for values in settings for canvas in CANVASES]


def main() -> None:
    """Count and print."""
    given = arguments(__doc__).parse_args()
    result(measure(), given.json)
