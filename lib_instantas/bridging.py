"""Where the grid stands at evaluation s: inter-domain distribution bridging (InstantAS, section 3.2)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from lib_instantas.edges import EDGES, ROOM, MovedAxis
from lib_instantas.fusion import faded
from lib_instantas.tiling import Axis, Size, TilePlan, segments, tiles_of

VERTICAL, HORIZONTAL = 0, 1

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2

Position = Callable[[int, int], float]
"""(number of moves, axis) -> where the grid stands, as a share of the room that its lines have there, in [0, 1)."""


def cyclic(gamma: float, edges: tuple[str, str], moves: int, axis: int) -> float:
    """gamma of a tile further at each move, without rounding on the way (section 3.2).

    The paper's edges are a ring, whose lines have a whole tile as their room; where they have half of one, gamma takes
    them twice as far in it.
    """
    return float(_share_of_room(gamma, edges[axis]) * moves % 1)


def golden(moves: int, axis: int) -> float:
    """Fractional parts of multiples of the golden ratio: any few consecutive places are spread evenly."""
    return moves * GOLDEN_RATIO % 1


def uniform_random(seed: int, moves: int, axis: int) -> float:
    """A place drawn from the picture's seed; the first grid stands at its origin."""
    return random.Random(f"{seed}/{axis}/{moves}").random() if moves else 0.0


def period(gamma: float, edges: str = "ring") -> int:
    """Number of moves after which a cyclic axis repeats: 0.015 -> 200, 0.125 -> 8, 1 -> 1 (paper, figure 7)."""
    return _share_of_room(gamma, edges).denominator


def _share_of_room(gamma: float, edges: str) -> Fraction:
    return Fraction(gamma / ROOM[edges]).limit_denominator(10_000)


def halfway(axes: tuple[bool, bool]) -> Position:
    """Half a tile off on some axes, at every move."""
    return lambda moves, axis: 0.5 if axes[axis] else 0.0


def make_position(schedule: str, gamma: float, seed: int, edges: tuple[str, str]) -> Position:
    """The schedule "cyclic", "golden" or "random" as a function of moves and axis.

    `edges` are those of the (vertical, horizontal) axis, on which it depends how far gamma takes a line in its room.
    """
    schedules: dict[str, Position] = {
        "cyclic": partial(cyclic, gamma, edges),
        "golden": golden,
        "random": partial(uniform_random, seed),
    }
    return schedules[schedule]


def moves_until(moves: int, movement: str) -> tuple[int, int]:
    """How often (vertical, horizontal) have moved after so many moves of the grid.

    "alternate" moves the horizontal axis first and the vertical one next (section 3.2); "together" moves both each
    time. This is for two axes that move: one alone moves every time, because the seam is weaker the more often the
    grid is elsewhere, and because the periods of the paper's figure 7 are those of one row.
    """
    if movement == "together":
        return moves, moves
    return moves // 2, (moves + 1) // 2


@dataclass(frozen=True)
class Context:
    """From the evaluation `first` on, tiles see `pixels` latent pixels around what they keep.

    Earlier seams are blended away by later evaluations; the last ones leave theirs in the picture. A tile's prediction
    is worst at its border, where the model sees nothing beyond it: a few pixels of context there, and the seam is
    gone (`python -m benchmarks.quality`), for 1 % of the time.

    With `fades`, neighbours fade into each other where both see: a run of few evaluations has none that would blend a
    seam away, and so leaves none. `fades` is how many evaluations have that, 0 for none.
    """

    first: int
    pixels: int
    fades: int = 0


@dataclass(frozen=True)
class BridgedGrid:
    """A grid together with how it moves.

    `edges` names one of EDGES for the (vertical, horizontal) axis; `wraps` says which axis the picture itself is
    closed on, so that even a single tile has to move there. Any other axis that holds one tile never moves.
    `context` is what the tiles of the last evaluations see around what they keep. The grid stands still for `hold`
    evaluations at a time.
    """

    axes: tuple[Axis, Axis]
    position: Position
    edges: tuple[str, str]
    movement: str = "alternate"
    wraps: tuple[bool, bool] = (False, False)
    context: Context = Context(0, 0)
    hold: int = 1

    @property
    def canvas(self) -> Size:
        """Height and width of the canvas, latent pixels."""
        return self.axes[VERTICAL].length, self.axes[HORIZONTAL].length

    def plan(self, evaluation: int) -> TilePlan:
        """The tiles of one evaluation, counted from 0."""
        rows, columns = self._moved(evaluation)
        return TilePlan(
            self.canvas,
            tiles_of(rows.segments, columns.segments),
            shift=(rows.shift, columns.shift),
            closed=(rows.closed, columns.closed),
            weights=faded if evaluation < self.context.fades else None,
        )

    @property
    def plans(self) -> tuple[TilePlan, ...]:
        """Those with weights, which are known beforehand."""
        return tuple(self.plan(evaluation) for evaluation in range(self.context.fades))

    def offset(self, evaluation: int) -> tuple[int, int]:
        """How far (down, right) the grid stands from where it began, latent pixels."""
        rows, columns = self._moved(evaluation)
        return rows.offset, columns.offset

    def _moved(self, evaluation: int) -> tuple[MovedAxis, MovedAxis]:
        takes_turns = all(self.moves(which) for which in (VERTICAL, HORIZONTAL))
        moves = evaluation // self.hold
        vertical, horizontal = moves_until(moves, self.movement) if takes_turns else (moves, moves)
        context = self.context.pixels if evaluation >= self.context.first else 0
        return self._moved_axis(VERTICAL, vertical, context), self._moved_axis(HORIZONTAL, horizontal, context)

    def moves(self, which: int) -> bool:
        """Whether the grid moves along an axis at all."""
        return self.axes[which].count > 1 or self.wraps[which]

    def _moved_axis(self, which: int, moves: int, context: int) -> MovedAxis:
        axis = self.axes[which]
        if not self.moves(which):
            return MovedAxis(segments(axis.cuts, axis.side))
        return EDGES[self.edges[which]](axis, self.position(moves, which), context)
