"""What a method will do, or has done, in numbers: for the plan command, the page's live line and the infotext."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

from lib_instantas.bridging import HORIZONTAL, VERTICAL, BridgedGrid, period
from lib_instantas.methods import Redilated, Request, make_method
from lib_instantas.regions import RegionSetup
from lib_instantas.texts import messages
from lib_instantas.texts.message import joined
from lib_instantas.tiling import LATENT_SCALE, CostModel, Size, TilePlan


@dataclass(frozen=True)
class Summary:
    """The work of one sampling run. Sizes are (height, width) in latent pixels.

    `tile` is the size most tiles have in the first evaluation, `tiles_per_step` their number there, `evaluations`
    the tiles the UNet sees in all, `computed_ratio` the latent pixels it computes per latent pixel of the canvas.
    `work` is the predicted cost of these tiles over that of the whole canvas at once (`CostModel`).
    `period` is the number of moves after which a cyclic grid repeats, None for any other; `offsets` is where the
    grid stands at each step, (down, right), for a method that moves one. `uncovered` is the share of the canvas that
    keeps its last prediction, averaged over the evaluations. `closed` says which axes are a ring. `dilation` is how
    far the deepest convolutions reach, 1 being as trained, in the first `dilated` evaluations; the first `damped` ask
    the model once more without the prompt.
    """

    canvas: Size
    tiles_per_step: int
    tile: Size
    evaluations: int
    computed_ratio: float
    work: float
    period: int | None
    offsets: tuple[tuple[int, int], ...]
    uncovered: float = 0.0
    dilation: float = 1.0
    dilated: int = 0
    damped: int = 0
    closed: tuple[bool, bool] = (False, False)

    def as_json(self) -> dict[str, Any]:
        """The same as plain lists and numbers."""
        return {
            key: list(map(_plain, value)) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @property
    def does_something(self) -> bool:
        """Whether there is anything to do: a canvas that fits one tile, and is not a ring, is left to the model."""
        return self.tiles_per_step > 1 or self.dilated > 0 or any(self.closed)

    @property
    def words(self) -> str:
        """The tiles and how far convolutions reach, as a message."""
        done = tiles_done(self.tiles_per_step, self.tile, self.evaluations, self.uncovered)
        return joined([done, reaching(self.dilation, self.dilated, self.damped > 0)], messages.ALSO)

    def __str__(self) -> str:
        return str(self.words)


def most_common_size(plan: TilePlan) -> Size:
    """Height and width, in latent pixels, that most tiles of a plan have."""
    return Counter(tile.size for tile in plan.tiles).most_common(1)[0][0]


def tiles_done(count: int, size: Size, evaluations: int, uncovered: float) -> str:
    """So many tiles of a size in latent pixels, and the share of the canvas that none covered, in words."""
    height, width = (side * LATENT_SCALE for side in size)
    shown = f"{width}x{height}"
    tiles = messages.ONE_TILE(size=shown) if count == 1 else messages.TILES(count=count, size=shown)
    left_out = messages.UNCOVERED(share=uncovered) if uncovered else ""
    return joined([messages.EVALUATIONS(tiles=tiles, evaluations=evaluations), left_out], messages.ALSO)


def reaching(factor: float, evaluations: int, is_damped: bool = False) -> str:
    """How far convolutions reached, and what that cost, in words; nothing if they were as trained."""
    if not evaluations:
        return ""
    dilated = messages.DILATED(factor=factor, evaluations=evaluations)
    return messages.DAMPED(dilated=dilated) if is_damped else dilated


def regions_done(setup: RegionSetup) -> list[str]:
    """How many regions are at work, in words, if any are."""
    count = len(setup.active)
    return [f"{count} region{'s' * (count > 1)}"] if count else []


def why_off(method: str) -> str:
    """What the infotext says where a method had nothing to do."""
    if method == "ScaleCrafter":
        return "off: the image's shorter side is not longer than the model's own"
    return "off: the image fits one tile"


def _work(request: Request, plans: list[TilePlan]) -> float:
    cost = CostModel(request.side)
    of_size = {tile.size: cost(tile.size) for plan in plans for tile in plan.tiles}
    return sum(of_size[tile.size] for plan in plans for tile in plan.tiles) / (len(plans) * cost(request.canvas))


def _period(grid: BridgedGrid, gamma: float) -> int:
    """After how many moves of its axes a cyclic grid stands where it began."""
    return math.lcm(*(period(gamma, grid.edges[which]) for which in (VERTICAL, HORIZONTAL) if grid.moves(which)))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def done_by(request: Request, is_guided: bool = True) -> str:
    """What the request's method does, in words, or why it does nothing; a sampler may go without guidance."""
    summary = summarise(request)
    summary = summary if is_guided else replace(summary, damped=0)
    if summary.does_something or request.settings.method == "direct":
        return str(summary)
    return why_off(request.settings.method)


def summarise(request: Request) -> Summary:
    """What the request's method does in `request.steps` evaluations of the sampler."""
    method = make_method(request)
    plans = [method.plan(evaluation) for evaluation in range(request.steps)]
    first = plans[0]
    grid = method if isinstance(method, BridgedGrid) else None
    dilation = method.dilation if isinstance(method, Redilated) else None
    cyclic = request.settings.schedule == "cyclic"
    return Summary(
        canvas=request.canvas,
        tiles_per_step=len(first.tiles),
        tile=most_common_size(first),
        evaluations=sum(len(plan.tiles) for plan in plans),
        computed_ratio=sum(plan.computed for plan in plans) / (len(plans) * request.canvas[0] * request.canvas[1]),
        work=_work(request, plans),
        period=_period(grid, request.settings.gamma) if grid and cyclic else None,
        uncovered=sum(plan.uncovered for plan in plans) / len(plans),
        closed=first.closed,
        dilation=dilation.factor if dilation else 1.0,
        dilated=dilation.until if dilation else 0,
        damped=dilation.damped if dilation else 0,
        offsets=tuple(map(grid.offset, range(request.steps))) if grid else (),
    )
