"""Is a large picture one picture? Compose first against tiles from noise, ScaleCrafter and the whole canvas at once.

Small World paints tall, wide and large pictures through the standalone program, every way the same prompts and seeds.
Measures:

one_horizon  share of pictures with sky above, ground below and nothing else (`benchmarks.horizons`); bare prompts
things       mean number of things seen where the prompt names one (`benchmarks.measures.object_count`)
place_tall   share of pictures whose place the judge names right, looking at the whole picture
seam         step across the lines of a resting grid over the step elsewhere, along the longer axis; 1 means no seam
grain        how far pixels lie from the mean around them where the picture is smooth, in 0..255
mottle       how noisy the colours of cells of 8x8 pixels are, in 0..255; grain does not see that
detail       the same where it is not smooth
whole        Frechet distance of whole pictures, shrunk to the model's own area, to drawn scenes of that ratio, in the
             judge's features: the model has no pictures of its own of these ratios to compare with. Of 8 pictures it
             says nothing: its interval is then wider than the figure
cost         latent pixels that the UNet computes, over those of tiles from noise; the autoencoder's work is not in it

`_ci` is half of a 95 % interval over pictures; `_more` is how much more than tiles from noise of the same prompts and
seeds, pair by pair, where these are among the rows. "drawn" are the renderer's own pictures of the prompts, through
the autoencoder: what a measure says of pictures without fault. Pictures are kept in a folder, each set of weights in
one of its own; a run that is cut short goes on with those that are missing.

`--stage-one` paints the first stages alone, with the ratio LoRA and without, and counts those that have one horizon:
what a finished picture has of it cannot be more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchmarks.horizons import has_one_horizon
from benchmarks.measures import bootstrap, detail, frechet, grain, interval, mottle, object_count, prompt_score, seam
from benchmarks.quality import scenes
from benchmarks.report import arguments, progress
from lib_instantas.composition import own_size
from lib_instantas.hosts.diffusers_lora import read_lora
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.settings import parse_settings
from lib_instantas.summary import summarise
from small_world import CHECKPOINT, CLOSE_UPS_LORA, RATIO_LORA
from small_world.judge import Judge, load_judge
from small_world.renderer import render
from small_world.scene import Scene, describe

Size = tuple[int, int]
"""(height, width) in image pixels."""

CANVASES: dict[str, Size] = {
    "256x1024": (1024, 256),
    "1024x256": (256, 1024),
    "512x512": (512, 512),
    "512x1024": (1024, 512),
}
NATIVE = 256
STEPS, GUIDANCE = 20, 5.0
DRAWN = "drawn"

COMPOSE: dict[str, Any] = {"compose": True}
WITH_LORA: dict[str, Any] = {**COMPOSE, "compose_lora": str(RATIO_LORA)}
WITH_BOTH: dict[str, Any] = {**WITH_LORA, "compose_tiles_lora": str(CLOSE_UPS_LORA)}
BARE = "the prompt without its thing"
"""Stands for such a background prompt of each scene."""
BACKGROUND: dict[str, Any] = {"compose_background": BARE}
VARIANTS: dict[str, dict[str, Any]] = {
    "tiles from noise": {},
    "two stages": COMPOSE,
    "two stages, guidance 2": {**COMPOSE, "compose_guidance": 2.0},
    "two stages, LoRA": WITH_LORA,
    "two stages, LoRA, background": {**WITH_LORA, **BACKGROUND},
    "two stages, LoRA, guidance 2": {**WITH_LORA, "compose_guidance": 2.0},
    "two stages, LoRA, strength 0.3, guidance 2": {**WITH_LORA, "compose_guidance": 2.0, "compose_strength": 0.3},
    "two stages, both LoRAs": WITH_BOTH,
    "two stages, both LoRAs, background": {**WITH_BOTH, **BACKGROUND},
    "two stages, both LoRAs, guidance 2": {**WITH_BOTH, "compose_guidance": 2.0},
    "two stages, LoRA, fidelity": {**WITH_LORA, "fidelity": 1.0},
    "two stages, both LoRAs, guidance 2, fidelity": {**WITH_BOTH, "compose_guidance": 2.0, "fidelity": 1.0},
    "two stages, both LoRAs, guidance 2, background": {**WITH_BOTH, **BACKGROUND, "compose_guidance": 2.0},
    "ScaleCrafter": {"method": "ScaleCrafter"},
    "direct": {"method": "direct"},
}
PLAIN = "tiles from noise"
PAIRED = ("one_horizon", "things", "place_tall", "grain", "mottle", "detail")
FIRST_STAGES = {"first stage": False, "first stage, LoRA": True}
"""Whether the ratio LoRA takes part."""
QUICK = (PLAIN, "two stages", "two stages, both LoRAs")
QUICK_CANVASES = ("256x1024", "1024x256")


@dataclass(frozen=True)
class Row:
    """One way to make pictures of one size. `folder` keeps them."""

    variant: str
    canvas: str
    folder: Path
    sampler: str = "DDIM"
    settings: dict[str, Any] = field(default_factory=dict)
    model: Path = CHECKPOINT

    @property
    def size(self) -> Size:
        """(height, width) in image pixels."""
        return CANVASES[self.canvas]

    def job(self, scene: Scene, seed: int) -> Job:
        """The picture of a scene."""
        asked = dict(self.settings)
        if asked.get("compose_background") == BARE:
            bare = replace(scene, thing=None, colour=None)
            asked["compose_background"] = "" if scene.thing is None else describe(bare)
        settings = parse_settings({"enabled": True, **asked})
        return Job(
            describe(scene), self.size, settings, seed=seed, steps=STEPS, guidance=GUIDANCE, sampler=self.sampler
        )

    def pictures(self, chosen: Sequence[Scene]) -> Tensor:
        """Pictures of scenes, [scenes, 3, H, W] in 0..1: those that are kept, and those that are missing made now."""
        return torch.stack([self._picture(scene, number + 1) for number, scene in enumerate(chosen)])

    def _picture(self, scene: Scene, seed: int) -> Tensor:
        file = self.folder / self.variant / self.canvas / f"{describe(scene)} {seed}.png"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._make(scene, seed).save(part := file.with_suffix(".part.png"))
            part.replace(file)
        with Image.open(file) as image:
            return _values(image)

    def _make(self, scene: Scene, seed: int) -> Image.Image:
        if self.variant == DRAWN:
            return _through_the_autoencoder(Image.fromarray(render(scene, self.size).pixels), self.model)
        progress(f"{self.variant}, {self.canvas}: {describe(scene)}")
        return _generator(self.model)(self.job(scene, seed)).image

    @property
    def computed(self) -> float:
        """Latent pixels that the UNet computes for one picture, guidance not counted."""
        if self.variant == DRAWN:
            return float("nan")
        generator = _generator(self.model)
        stages = generator.stages(self.job(scenes(1)[0], 1))
        summaries = [summarise(stage.request(generator.native)) for stage in stages]
        areas = [stage.canvas[0] * stage.canvas[1] * stage.evaluations for stage in stages]
        return sum(area * summary.computed_ratio for area, summary in zip(areas, summaries, strict=True))


@dataclass(frozen=True)
class FirstStage(Row):
    """The first of the two stages of such pictures alone, at the model's own area; with a `lora` or without."""

    lora: Path | None = None

    @property
    def size(self) -> Size:
        """(height, width) in image pixels."""
        return own_size(CANVASES[self.canvas][0] / CANVASES[self.canvas][1], NATIVE // 8)

    def _make(self, scene: Scene, seed: int) -> Image.Image:
        generator = _generator(self.model)
        if self.lora is None:
            return super()._make(scene, seed)
        with read_lora(self.lora, generator.pipeline.unet, "compose_lora").on(generator.pipeline.unet):
            return super()._make(scene, seed)


def first_stages(canvases: Sequence[str], folder: Path, model: Path, lora: Path) -> Iterator[FirstStage]:
    """What `--stage-one` paints, canvas by canvas."""
    for canvas in canvases:
        for name, has_lora in FIRST_STAGES.items():
            settings = {"method": "direct"}
            yield FirstStage(name, canvas, folder, settings=settings, model=model, lora=lora if has_lora else None)


@cache
def _generator(model: Path) -> Generator:
    from lib_instantas.hosts.checkpoints import load_pipeline

    return Generator(load_pipeline(model))


def _values(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


@torch.no_grad()
def _through_the_autoencoder(image: Image.Image, model: Path) -> Image.Image:
    vae = _generator(model).pipeline.vae
    decoded = vae.decode(vae.encode(_values(image)[None] * 2 - 1).latent_dist.mean).sample[0]
    pixels = (decoded.clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(1, 2, 0)
    return Image.fromarray(pixels.numpy())


def whole(judge: Judge, pictures: Tensor, chosen: Sequence[Scene]) -> dict[str, float]:
    """Frechet distance of pictures [scenes, 3, H, W], shrunk to the model's own area, to drawn ones of their scenes."""
    size = own_size(pictures.shape[2] / pictures.shape[3], NATIVE // 8)
    shrunk = F.interpolate(pictures, size, mode="bilinear", antialias=True)
    others = [replace(scene, seed=scene.seed + 10**6 * (1 + turn)) for turn in range(4) for scene in chosen]
    drawn = torch.from_numpy(np.stack([render(scene, size).pixels for scene in others])).permute(0, 3, 1, 2) / 255
    features, real = (torch.cat([judge.verdict(part).features for part in all_.split(32)]) for all_ in (shrunk, drawn))
    return {
        "whole": frechet(features, real),
        "whole_ci": bootstrap(lambda rows: frechet(features[rows], real), len(features), 30),
    }


@dataclass(frozen=True)
class Figures:
    """The measures of a row: those of each picture by name, [pictures], and those of all of them together."""

    each: Mapping[str, Tensor]
    together: Mapping[str, float]

    def line(self, plain: Figures | None) -> dict[str, float]:
        """All of them with their intervals, and how much more than `plain` they are, pair by pair."""
        values: dict[str, float] = {}
        for name, one in self.each.items():
            values[name], values[f"{name}_ci"] = interval(one)
            if plain is not None and name in PAIRED:
                values[f"{name}_more"], values[f"{name}_more_ci"] = interval(one - plain.each[name])
        return values | dict(self.together)


def figures(row: Row, bare: Sequence[Scene], named: Sequence[Scene]) -> tuple[Figures, Tensor]:
    """The measures of a row but its cost, and its pictures of the bare scenes."""
    judge, pictures, with_things = load_judge(), row.pictures(bare), row.pictures(named)
    one = torch.tensor([has_one_horizon(picture, scene) for picture, scene in zip(pictures, bare, strict=True)])
    counted = [object_count(judge, p[None], s.thing or "") for p, s in zip(with_things, named, strict=True)]
    axis = "y" if row.size[0] > row.size[1] else "x"
    lines = range(NATIVE, max(row.size), NATIVE)
    each = {
        "one_horizon": one.float(),
        "things": torch.cat(counted).float(),
        "place_tall": prompt_score(judge, pictures, bare).place,
        "grain": grain(pictures),
        "mottle": mottle(pictures),
        "detail": detail(pictures),
    }
    together = {
        "seam": seam(pictures, lines, axis).mean,
        "seam_ci": bootstrap(lambda rows: seam(pictures[rows], lines, axis).mean, len(pictures)),
        **whole(judge, pictures, bare),
    }
    return Figures(each, together), pictures


def of_one_horizon(row: Row, chosen: Sequence[Scene]) -> dict[str, Any]:
    """How many of a row's pictures of bare scenes have one horizon."""
    seen = [has_one_horizon(picture, scene) for picture, scene in zip(row.pictures(chosen), chosen, strict=True)]
    size = f"{row.size[1]}x{row.size[0]}"
    return {"variant": row.variant, "size": size, "pictures": len(seen), "one_horizon": sum(seen)}


def named_scenes(count: int) -> list[Scene]:
    """Fixed scenes that all name a thing which stands on the ground."""
    found = [scene for scene in scenes(8 * count) if scene.thing not in (None, "sun", "moon", "lighthouse")]
    return found[:count]


def rows(
    names: Sequence[str],
    canvases: Sequence[str],
    folder: Path,
    model: Path = CHECKPOINT,
    lora: Path = RATIO_LORA,
    close_ups: Path = CLOSE_UPS_LORA,
) -> Iterator[Row]:
    """What is painted, canvas by canvas, drawn scenes first."""
    for canvas in canvases:
        yield Row(DRAWN, canvas, folder, model=model)
        for name in names:
            own = {"compose_lora": str(lora), "compose_tiles_lora": str(close_ups)}
            asked = {key: own.get(key, value) for key, value in VARIANTS[name].items()}
            yield Row(name, canvas, folder, settings=asked, model=model)


def folder_of(keep: Path, *weights: Path) -> Path:
    """Where the pictures of these weights are kept: those of others must not be taken for theirs."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in weights)).hexdigest()
    return keep / digest[:8]


def sheet(shown: Sequence[Tensor], file: Path) -> None:
    """Write the pictures of every row [pictures, 3, H, W]: tall ones side by side, wide ones below each other."""
    lines = [torch.cat(list(pictures), 2) for pictures in shown]
    pixels = torch.cat(lines, 1).permute(1, 2, 0).mul(255).byte().numpy()
    image = Image.fromarray(pixels)
    image.thumbnail((2400, 4000), Image.Resampling.LANCZOS)
    image.save(file, quality=85)


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="three variants, four prompts, tall and wide")
    parser.add_argument("--stage-one", action="store_true", help="count the horizons of first stages, nothing else")
    parser.add_argument("--pictures", type=int, default=0, help="bare prompts a row (24); half as many with a thing")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS), help="variants by name")
    parser.add_argument("--canvases", nargs="*", choices=CANVASES, default=list(CANVASES), help="sizes")
    parser.add_argument("--model", type=Path, default=CHECKPOINT, help="weights of Small World (those that ship)")
    parser.add_argument("--lora", type=Path, default=RATIO_LORA, help="its ratio LoRA (the one that ships)")
    parser.add_argument("--close-ups", type=Path, default=CLOSE_UPS_LORA, help="its LoRA of the tiles (likewise)")
    parser.add_argument("--keep", type=Path, default=Path("out/composition"), help="folder of pictures and sheets")
    options = parser.parse_args()
    count = options.pictures or (4 if options.quick else 24)
    names = [name for name in options.only if name in (QUICK if options.quick else VARIANTS)]
    canvases = [name for name in options.canvases if not options.quick or name in QUICK_CANVASES]
    bare, named = scenes(count, bare=True), named_scenes(max(2, count // 2))
    weights = (options.model, options.lora, options.close_ups)
    folder = folder_of(options.keep, *weights)
    if options.stage_one:
        _count_first_stages(first_stages(canvases, folder, options.model, options.lora), bare, options.json)
        return
    table: list[dict[str, Any]] = []
    shown: dict[str, list[Tensor]] = {}
    plain: dict[str, Figures] = {}
    for row in rows(names, canvases, folder, *weights):
        measured, pictures = figures(row, bare, named)
        if row.variant == PLAIN:
            plain[row.canvas] = measured
        line = measured.line(plain.get(row.canvas) if row.variant != PLAIN else None)
        cost = row.computed / Row(PLAIN, row.canvas, folder, model=options.model).computed
        table.append({"variant": row.variant, "canvas": row.canvas, "pictures": count, **line, "cost": cost})
        progress(json.dumps(table[-1]))
        shown.setdefault(row.canvas, []).append(pictures[:8])
        sheet(shown[row.canvas], folder / f"{row.canvas}.jpg")
    if options.json:
        print(json.dumps({"rows": table}))
        return
    columns = ("one_horizon", "things", "place_tall", "whole", "seam", "grain", "mottle", "detail", "cost")
    print(f"{'':>54}" + "".join(f"{name:>13}" for name in columns))
    for line in table:
        label = f"{line['variant']} {line['canvas']}"
        print(f"{label:>54}" + "".join(f"{line[name]:13.3f}" for name in columns))


def _count_first_stages(rows: Iterable[FirstStage], bare: Sequence[Scene], as_json: bool) -> None:
    table = []
    for row in rows:
        table.append(line := of_one_horizon(row, bare))
        if not as_json:
            print("{variant}, {size}: one horizon in {one_horizon} of {pictures}".format(**line), flush=True)
    if as_json:
        print(json.dumps({"rows": table}))


if __name__ == "__main__":
    main()
