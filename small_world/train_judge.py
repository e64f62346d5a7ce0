"""Trains the judge on drawn scenes that are shifted, flipped, blurred and noised at random."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from small_world.judge import NOTHING, STRIDE, Judge
from small_world.precision import autocast
from small_world.progress import Training, channels_last, on_workers
from small_world.renderer import centre_of
from small_world.scene import PLACES, THINGS, TIMES, Scene, random_scene

RATE = 2e-3
Centre = tuple[float, float]
REACH = 11.0
"""Standard deviation, in pixels, of the spot that the map of things should show around a thing's centre."""


def labels(scenes: Sequence[Scene]) -> Tensor:
    """Return the numbers of place, time and thing, [scenes, 3]."""
    rows = [[PLACES.index(s.place), TIMES.index(s.time), THINGS.index(s.thing) if s.thing else NOTHING] for s in scenes]
    return torch.tensor(rows)


def spots(scenes: Sequence[Scene], side: int, stride: int = STRIDE, reach: float = REACH) -> Tensor:
    """Return a map of where each thing stands in square pictures, [scenes, 8, side/stride, side/stride] in 0..1.

    With the defaults it is what the judge's map of things should show.
    """
    centres = [centre_of(scene, (side, side)) for scene in scenes]
    return spots_at(scenes, centres, side, stride, reach)


def spots_at(
    scenes: Sequence[Scene], centres: Sequence[Centre | None], side: int, stride: int = STRIDE, reach: float = REACH
) -> Tensor:
    """Return the same map with the things at these places, x and y in pixels, which may lie beside the picture."""
    cells = torch.arange(side // stride) * stride + stride / 2
    target = torch.zeros(len(scenes), len(THINGS), len(cells), len(cells))
    for row, (scene, centre) in enumerate(zip(scenes, centres, strict=True)):
        if centre is not None and scene.thing is not None:
            distance = (cells[None, :] - centre[0]) ** 2 + (cells[:, None] - centre[1]) ** 2
            target[row, THINGS.index(scene.thing)] = torch.exp(-distance / (2 * reach**2))
    return target


def disturbed(pictures: Tensor) -> Tensor:
    """Return half-size pictures [B, 3, H, W] blurred to various degrees, a little brighter or darker, and noisy."""
    blurred = F.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    share = 1.2 * torch.rand(len(pictures), 1, 1, 1, device=pictures.device) - 0.2
    tone = 1 + 0.08 * torch.randn(len(pictures), 3, 1, 1, device=pictures.device)
    noise = 0.04 * torch.rand(len(pictures), 1, 1, 1, device=pictures.device) * torch.randn_like(pictures)
    return (pictures + share.clamp(min=0) * (blurred - pictures)) * tone + noise


def loss_of(judge: Judge, pictures: Tensor, wanted: Tensor, target: Tensor) -> Tensor:
    """Return the sum of the three cross-entropies and that of the map of things."""
    place, time, thing, _, things = judge.of_half_size(pictures)
    weight = 1 + 20 * target
    heat = F.binary_cross_entropy_with_logits(things.float(), target, weight)
    heads = (place, time, thing)
    return 20 * heat + torch.stack([F.cross_entropy(head, wanted[:, i]) for i, head in enumerate(heads)]).sum()


def train(folder: Path, pictures: Path, minutes: float, device: str, workers: int) -> Judge:
    """Train for so many minutes and write judge.safetensors to the folder."""
    judge = Judge()
    channels_last(judge, device)
    on_workers(_work, workers, judge, folder, pictures, minutes, device)
    state = torch.load(folder / "judge.pt", map_location="cpu", weights_only=True)
    # The running statistics belong to the trained weights; averaged weights have nearly the same.
    weights = state["module"] | {name: value for name, value in state["averaged"].items() if "running" not in name}
    judge.load_state_dict(weights)
    halves = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    save_file({name: value.contiguous() for name, value in halves.items()}, folder / "judge.safetensors")
    return judge.eval().requires_grad_(False)


def halves(path: Path) -> NDArray[np.uint8]:
    """Return all pictures of a file [N, H, W, 3] at half their size."""
    pictures = np.load(path, mmap_mode="r")
    return np.stack([np.asarray(Image.fromarray(picture).reduce(2)) for picture in pictures])


def _work(worker: int, judge: Judge, folder: Path, path: Path, minutes: float, device: str) -> None:
    training = Training("judge", judge, folder, minutes, RATE, worker)
    source = halves(path)
    scenes = [random_scene(seed) for seed in range(len(source))]
    wanted, target = labels(scenes), spots(scenes, 2 * source.shape[1])
    rng = np.random.default_rng([worker, training.step])
    while training.running:
        rows = rng.integers(len(source), size=32)
        x = torch.from_numpy(source[rows]).to(device).permute(0, 3, 1, 2).float() / 255
        goal = target[rows].to(device)
        if rng.random() < 0.5:
            x, goal = x.flip(3), goal.flip(3)
        x = disturbed(x).contiguous(memory_format=torch.channels_last)
        with autocast(device):
            loss = loss_of(judge, x, wanted[rows].to(device), goal)
        training.update(loss)
