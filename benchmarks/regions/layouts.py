"""The pictures that `benchmarks.regions` makes: which prompts stand where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle, islice

from lib_instantas.regions import Region, RegionSetup
from lib_instantas.shapes import Rectangle
from lib_instantas.tiling import Size
from small_world import NATIVE
from small_world.scene import PLACES, TIMES, Scene, describe

SIDE = NATIVE
"""Image pixels of a region's side, which is what the judge looks at."""

FEATHER = 0.25
"""Of the canvas's shorter side: 64 pixels of ramp."""

WIDE = (SIDE, 4 * SIDE)

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in image pixels."""


@dataclass(frozen=True)
class Placed:
    """A scene and the box it is to fill."""

    scene: Scene
    box: Box


@dataclass(frozen=True)
class Layout:
    """A picture with regions; `size` is (height, width) in image pixels. What no region covers is `main`'s."""

    name: str
    size: Size
    main: Scene
    regions: tuple[Placed, ...]
    feather: float = 0.0

    @property
    def prompt(self) -> str:
        """The main prompt."""
        return describe(self.main)

    @property
    def setup(self) -> RegionSetup:
        """The regions as the engine takes them; an inner one lies above the one around it."""
        return RegionSetup(tuple(self._region(placed) for placed in self.regions), "upper")

    def _region(self, placed: Placed) -> Region:
        (height, width), (left, top, right, bottom) = self.size, placed.box
        box = Rectangle(left / width, top / height, (right - left) / width, (bottom - top) / height)
        return Region(box, describe(placed.scene), feather=self.feather)

    @property
    def borders(self) -> list[int]:
        """Columns where a region begins or ends within the picture."""
        edges = {x for placed in self.regions for x in (placed.box[0], placed.box[2])}
        return sorted(x for x in edges if 0 < x < self.size[1])

    def judged(self) -> tuple[Placed, ...]:
        """What is to be seen in each square of the picture, from left to right."""
        return tuple(Placed(self._uppermost(left), _box(left, left + SIDE)) for left in range(0, self.size[1], SIDE))

    def _uppermost(self, left: int) -> Scene:
        holds = [placed.scene for placed in self.regions if placed.box[0] <= left < placed.box[2]]
        return holds[-1] if holds else self.main


def _box(left: int, right: int) -> Box:
    return left, 0, right, SIDE


def layouts(seed: int) -> list[Layout]:
    """One picture of each kind, hard and feathered, with scenes that depend on the seed."""
    scenes = _scenes(seed)
    hard = [
        *(_side_by_side(scenes, count) for count in (2, 3, 4)),
        Layout("one in the main prompt", WIDE, scenes[0], (Placed(scenes[1], _box(SIDE, 2 * SIDE)),)),
        Layout("one in another", WIDE, scenes[0], _nested(scenes[1], scenes[2])),
    ]
    return hard + [replace(one, name=f"{one.name}, feathered", feather=FEATHER) for one in hard]


def _side_by_side(scenes: list[Scene], count: int) -> Layout:
    placed = tuple(Placed(scenes[i], _box(SIDE * i, SIDE * (i + 1))) for i in range(count))
    return Layout(f"{count} side by side", (SIDE, SIDE * count), scenes[-1], placed)


def _nested(outer: Scene, inner: Scene) -> tuple[Placed, Placed]:
    return Placed(outer, _box(0, 3 * SIDE)), Placed(inner, _box(SIDE, 2 * SIDE))


def _scenes(seed: int) -> list[Scene]:
    """Five different places; at one time of day or weather if the seed is even, else at several."""
    stride = 3  # shares no divisor with the number of places, so that neighbours change from seed to seed
    places = islice(cycle(PLACES), seed, seed + stride * 5, stride)
    times = islice(cycle(TIMES), seed, seed + 5) if seed % 2 else [TIMES[seed // 2 % len(TIMES)]] * 5
    return [Scene(place, time, seed=seed) for place, time in zip(places, times, strict=True)]
