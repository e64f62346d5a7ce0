"""Do regions show what their prompts say, and what does it cost? On Small World, against one UNet pass per region.

Pictures of two to four regions side by side, one in the main prompt and one in another region, hard and feathered. A
classifier that knows real scenes looks at each square of 256 pixels:

- `adherence`: share of a region's squares that show the place and the time of its prompt;
- `place_adherence`: share that show the place, whatever the time;
- `leakage`: share that show those of another prompt of the picture instead;
- `main_adherence`: the same as adherence, of squares that no region covers;
- `base_*`: the same of single pictures of the same prompts, 256 x 256, which is the most one can hope for;
- `background_change`: how much one region changes the rest of the picture, as the mean difference of pixels beside it
  over that of two pictures of unrelated seeds;
- `border_seam`: mean step of pixels across hard regions' borders, over that across all other multiples of 8 pixels;
- `cost_ratio`: time over that of the same picture without regions.

`multidiffusion_*` are the same figures for masks on the predictions, one UNet pass per prompt (InstantAS, supplement,
section 3), with the same tiles, seeds and steps.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.images import as_tensor
from benchmarks.measures import seam
from benchmarks.regions.layouts import SIDE, Box, Layout, layouts
from benchmarks.regions.one_pass_per_region import OnePassPerRegion
from benchmarks.report import arguments, progress, result
from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.diffusers_regions import encoder
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.regions import RegionSetup
from lib_instantas.regions_json import setup_to_json
from lib_instantas.settings import parse_settings
from lib_instantas.tiling import Size
from small_world import CHECKPOINT
from small_world.judge import Judge, load_judge
from small_world.scene import PLACES, TIMES, Scene

Label = tuple[str, str]
"""Place and time."""

Made = tuple[Layout, int, Tensor]
"""A layout, its seed and its picture [3, H, W] in 0..1."""

Way = Callable[["RegionPainter", Layout, int], Tensor]


class RegionPainter:
    """Makes the pictures of one run, all with the same sampler, steps and guidance."""

    def __init__(self, pipeline: Any, steps: int) -> None:
        self.pipeline = pipeline
        self.steps = steps
        self._plain: dict[tuple[Scene, Size, int], Tensor] = {}

    def picture(self, layout: Layout, seed: int, setup: RegionSetup, parts: Iterable[Any] = ()) -> Tensor:
        """The layout's main prompt on its canvas, with the regions of `setup`."""
        settings = parse_settings({"enabled": True, "regions": setup_to_json(setup)})
        job = Job(layout.prompt, layout.size, settings, seed=seed, steps=self.steps, guidance=5.0, sampler="Euler a")
        return as_tensor(Generator(self.pipeline, tuple(parts))(job).image)

    def plain(self, layout: Layout, seed: int) -> Tensor:
        """The picture without regions, made once for each main prompt, size and seed."""
        key = layout.main, layout.size, seed
        if key not in self._plain:
            self._plain[key] = without_regions(self, layout, seed)
        return self._plain[key]


def regional_attention(painter: RegionPainter, layout: Layout, seed: int) -> Tensor:
    """The regions as this project makes them."""
    return painter.picture(layout, seed, layout.setup)


def one_pass_per_region(painter: RegionPainter, layout: Layout, seed: int) -> Tensor:
    """The regions as MultiDiffusion makes them."""
    encode = encoder(painter.pipeline)
    prompts = [layout.prompt, *(region.prompt for region in layout.setup.active)]
    contexts = [torch.cat([negative, positive]) for positive, negative in (encode(text, "")[:2] for text in prompts)]
    passes = OnePassPerRegion(painter.pipeline.unet, layout.setup, contexts)
    with passes.installed():
        return painter.picture(layout, seed, RegionSetup(), [passes])


def without_regions(painter: RegionPainter, layout: Layout, seed: int) -> Tensor:
    """The main prompt alone."""
    return painter.picture(layout, seed, RegionSetup())


WAYS: dict[Way, str] = {regional_attention: "", one_pass_per_region: "multidiffusion_"}
"""The ways to compare, and what their figures' names begin with."""


def main() -> None:
    """Make the pictures, judge them, print the figures."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="pictures of each of the ten kinds (default 2)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=4, help="pairs to time (default 4)")
    parser.add_argument("--model", type=Path, default=CHECKPOINT)
    parser.add_argument("--save", type=Path, help="folder for the pictures")
    options = parser.parse_args()
    painter = RegionPainter(load_pipeline(options.model), options.steps)
    kinds = [(layout, seed) for seed in range(options.seeds) for layout in layouts(seed)]
    made = {way: [(layout, seed, _made(painter, way, layout, seed)) for layout, seed in kinds] for way in WAYS}
    if options.save:
        for way, pictures in made.items():
            _save(options.save / way.__name__, pictures)
    costs = {way: cost_ratio(painter, way, options.repeats) for way in WAYS}
    judge = load_judge()
    figures = {"pictures": len(kinds), **base(painter, judge, options.seeds)}
    for way, prefix in WAYS.items():
        found = judged(painter, judge, made[way]) | {"cost_ratio": costs[way]}
        figures |= {prefix + name: value for name, value in found.items()}
    result(figures, options.json)


def _made(painter: RegionPainter, way: Way, layout: Layout, seed: int) -> Tensor:
    progress(f"{way.__name__}: {layout.name}, seed {seed}")
    return way(painter, layout, seed)


def base(painter: RegionPainter, judge: Judge, seeds: int) -> dict[str, float]:
    """How often single pictures show the scenes of the regions: what the model can do at its own size."""
    scenes = {placed.scene for seed in range(seeds) for layout in layouts(seed) for placed in layout.regions}
    single = [Layout("single", (SIDE, SIDE), scene, ()) for scene in sorted(scenes, key=str)]
    seen = labels_seen(judge, [_made(painter, without_regions, layout, seed) for seed, layout in enumerate(single)])
    pairs = [(label, label_of(layout.main)) for label, layout in zip(seen, single, strict=True)]
    return {
        "base_adherence": statistics.mean(label == wanted for label, wanted in pairs),
        "base_place_adherence": statistics.mean(label[0] == wanted[0] for label, wanted in pairs),
    }


def judged(painter: RegionPainter, judge: Judge, pictures: list[Made]) -> dict[str, float]:
    """What the classifier sees in the squares, and what the pixels say."""
    votes: dict[str, list[float]] = defaultdict(list)
    for layout, seed, picture in pictures:
        _vote(votes, judge, layout, picture)
        if len(layout.regions) == 1:
            votes["background_change"].append(background_change(painter, layout, seed, picture))
    return {**{name: statistics.mean(values) for name, values in votes.items()}, "border_seam": border_seam(pictures)}


def _vote(votes: dict[str, list[float]], judge: Judge, layout: Layout, picture: Tensor) -> None:
    squares = layout.judged()
    prompts = {label_of(placed.scene) for placed in (*layout.regions, *squares)}
    seen = labels_seen(judge, [_cropped(picture, placed.box) for placed in squares])
    for placed, label in zip(squares, seen, strict=True):
        wanted = label_of(placed.scene)
        if any(region.scene == placed.scene for region in layout.regions):
            votes["adherence"].append(label == wanted)
            votes["place_adherence"].append(label[0] == wanted[0])
            votes["leakage"].append(label in prompts - {wanted})
        else:
            votes["main_adherence"].append(label == wanted)


def labels_seen(judge: Judge, squares: list[Tensor]) -> list[Label]:
    """Place and time that the classifier finds in each square."""
    verdict = judge.verdict(torch.stack(squares))
    return [(PLACES[place], TIMES[time]) for place, time in zip(verdict.place, verdict.time, strict=True)]


def label_of(scene: Scene) -> Label:
    """What the classifier is to find."""
    return scene.place, scene.time


def background_change(painter: RegionPainter, layout: Layout, seed: int, picture: Tensor) -> float:
    """Mean difference beside the region to the picture without it, over that of two unrelated pictures."""
    left, _, right, _ = layout.regions[0].box
    plain, unrelated = (painter.plain(layout, s) for s in (seed, seed + 1000))

    def difference(one: Tensor, other: Tensor) -> float:
        apart = (one - other).abs().mean((0, 1))
        return float(torch.cat([apart[:left], apart[right:]]).mean())

    return difference(picture, plain) / difference(unrelated, plain)


def border_seam(pictures: list[Made]) -> float:
    """Mean over the kinds of hard layouts; each kind's pictures are averaged before they are compared."""
    by_kind: dict[str, list[Made]] = defaultdict(list)
    for made in pictures:
        if not made[0].feather:
            by_kind[made[0].name].append(made)
    kinds = by_kind.values()
    return statistics.mean(seam(torch.stack([made[2] for made in kind]), kind[0][0].borders).mean for kind in kinds)


def cost_ratio(painter: RegionPainter, way: Way, repeats: int) -> float:
    """Least time with four regions over least time without, 1024 x 256 pixels, made in turn.

    What else the machine does can only add to a time, so that the least of several is nearest to the truth.
    """
    layout = next(one for one in layouts(0) if one.name == "4 side by side")
    times = [(seconds(way, painter, layout, i), seconds(without_regions, painter, layout, i)) for i in range(repeats)]
    progress(f"{way.__name__}: " + " ".join(f"{ours:.2f}s/{plain:.2f}s" for ours, plain in times))
    return min(ours for ours, _ in times) / min(plain for _, plain in times)


def seconds(way: Way, painter: RegionPainter, layout: Layout, seed: int) -> float:
    """Time to make one picture: on a CPU that of this process alone, whatever else the machine does."""
    on_cpu = painter.pipeline.unet.device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    started = clock()
    way(painter, layout, seed)  # the picture is on the CPU when it returns
    return clock() - started


def _cropped(picture: Tensor, box: Box) -> Tensor:
    left, top, right, bottom = box
    return picture[:, top:bottom, left:right]


def _save(folder: Path, pictures: list[Made]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for layout, seed, picture in pictures:
        pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{layout.name.replace(' ', '-')}-{seed}.png")


if __name__ == "__main__":
    main()
