"""What the tables' pictures are of: scenes of Small World, or prompts of the papers for any other model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from benchmarks.quality import scenes
from small_world.scene import Scene, describe

PROMPTS = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Subjects:
    """Prompts, a picture of each; for Small World also the scenes that they describe."""

    prompts: tuple[str, ...]
    scenes: tuple[Scene, ...] = ()

    def __len__(self) -> int:
        return len(self.prompts)


Source = Callable[[int, bool], Subjects]
"""So many subjects, without things or, if the second argument is true, with one in each."""


def small_world(count: int, things: bool) -> Subjects:
    """Scenes and their captions."""
    chosen = tuple(scenes(count, bare=not things))
    return Subjects(tuple(describe(scene) for scene in chosen), chosen)


@dataclass(frozen=True)
class Listed:
    """Prompts from files, one a line, in turn; lines that are empty or begin with # are none.

    Raises ValueError for a file without a prompt.
    """

    panoramas: Path = PROMPTS / "panoramas.txt"
    things: Path = PROMPTS / "things.txt"

    def __call__(self, count: int, things: bool) -> Subjects:
        """So many prompts; beyond the end of the list it begins anew, and pictures differ by their seed."""
        file = self.things if things else self.panoramas
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        prompts = [line for line in lines if line and not line.startswith("#")]
        if not prompts:
            raise ValueError(f"prompts must be a file with a prompt a line, there is none in {file}")
        return Subjects(tuple(islice(cycle(prompts), count)))
