"""A small classifier that says what a picture of Small World shows; measures of picture quality rest on it.

It never saw a painted picture: it is trained on drawn scenes (`small_world.train_judge`), blurred and noised a
little so that it judges what is shown and not how sharply. Pictures are [B, 3, H, W] in 0..1, of any size.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from small_world import MODEL_FOLDER
from small_world.scene import PLACES, THINGS, TIMES

STRIDE = 16
"""Pixels to a cell of the map of things."""
FEATURES = 48
NOTHING = len(THINGS)
"""Class of a picture without a thing."""


@dataclass(frozen=True)
class Verdict:
    """Numbers of place, time and thing [B] (`NOTHING` for none), features [B, 48], map of things [B, 8, H/16, W/16]."""

    place: Tensor
    time: Tensor
    thing: Tensor
    features: Tensor
    things: Tensor


class Judge(nn.Module):
    """Convolutions down to a sixteenth; from there a map of things, and from its mean and maximum all else."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 48, 4, 4), *_layer(48, 64), *_layer(64, 96), *_layer(96, 128, 2), *_layer(128, 128)
        )
        self.map = nn.Conv2d(128, len(THINGS), 1)
        nn.init.constant_(self.map.bias, -4.0)  # type: ignore[arg-type]
        self.embed = nn.Linear(256 + len(THINGS), FEATURES)
        self.place, self.time = nn.Linear(FEATURES, len(PLACES)), nn.Linear(FEATURES, len(TIMES))
        self.thing = nn.Linear(FEATURES, len(THINGS) + 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return logits of place, time and thing, the features, and the logits of the map of things."""
        return self.of_half_size(F.avg_pool2d(pictures, 2))

    def of_half_size(self, halves: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the same of pictures that are already reduced to half their size, as training does."""
        body = self.body(halves * 4 - 2)
        things = self.map(body)
        pooled = [body.mean((2, 3)), body.amax((2, 3)), things.amax((2, 3)) / 4]
        features = F.silu(self.embed(torch.cat(pooled, 1).float()))
        return self.place(features), self.time(features), self.thing(features), features, things

    @torch.no_grad()
    def verdict(self, pictures: Tensor) -> Verdict:
        """Return what the pictures show."""
        place, time, thing, features, things = self(pictures)
        return Verdict(place.argmax(1), time.argmax(1), thing.argmax(1), features, things.sigmoid())


def _layer(channels: int, out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, out, 3, stride, 1)


@cache
def load_judge(path: Path = MODEL_FOLDER / "judge.safetensors") -> Judge:
    """Return the shipped judge, ready to use."""
    judge = Judge()
    judge.load_state_dict({name: value.float() if value.is_floating_point() else value
                           for name, value in load_file(path).items()})  # fmt: skip
    return judge.eval().requires_grad_(False)
