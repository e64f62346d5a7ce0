"""A picture of a tile plan: the canvas, its tiles, and where their borders travel."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from lib_instantas.methods import Request, make_method
from lib_instantas.tiling import LATENT_SCALE, Segment, TilePlan

LONGER_SIDE, MARGIN, ROW = 960, 28, 5
PAPER, INK, WINDOW = (252, 252, 250), (40, 44, 52), (120, 124, 132)
FILLS = ((120, 170, 220), (240, 190, 110), (150, 200, 150), (215, 150, 175), (175, 165, 220), (225, 215, 130))
MOST_STEPS = 60


def draw_plan(request: Request) -> Image.Image:
    """The first grid on the canvas; below and beside it the borders' places at each step (time runs outwards)."""
    method = make_method(request)
    plans = [method.plan(evaluation) for evaluation in range(min(request.steps, MOST_STEPS))]
    zoom = LONGER_SIDE / max(request.canvas)
    height, width = (round(side * zoom) for side in request.canvas)
    travel = ROW * len(plans)
    picture = Image.new("RGB", (width + 3 * MARGIN + travel, height + 4 * MARGIN + travel), PAPER)
    draw = ImageDraw.Draw(picture, "RGBA")
    _draw_tiles(draw, plans[0], zoom)
    for step, plan in enumerate(plans):
        far = 2 * MARGIN + ROW * step
        for x in _borders([tile.x for tile in plan.tiles], plan.shift[1], plan.canvas[1]):
            draw.line([(MARGIN + x * zoom, height + far), (MARGIN + x * zoom, height + far + ROW - 2)], INK, 2)
        for y in _borders([tile.y for tile in plan.tiles], plan.shift[0], plan.canvas[0]):
            draw.line([(width + far, MARGIN + y * zoom), (width + far + ROW - 2, MARGIN + y * zoom)], INK, 2)
    _caption(draw, request, plans, picture.height - MARGIN)
    return picture


def _draw_tiles(draw: ImageDraw.ImageDraw, plan: TilePlan, zoom: float) -> None:
    for number, tile in enumerate(plan.tiles):
        fill = FILLS[number % len(FILLS)]
        box = [MARGIN + zoom * value for value in (*_corner(tile.x, tile.y, "start"), *_corner(tile.x, tile.y, "stop"))]
        draw.rectangle(box, fill=(*fill, 190), outline=INK)
        seen = (tile.x.window.start, tile.y.window.start, tile.x.window.stop, tile.y.window.stop)
        draw.rectangle([MARGIN + zoom * value for value in seen], outline=(*WINDOW, 160))


def _corner(x: Segment, y: Segment, end: str) -> tuple[int, int]:
    return getattr(x.keep, end), getattr(y.keep, end)


def _borders(segments: Sequence[Segment], shift: int, length: int) -> set[int]:
    """Places of the lines between tiles on the canvas as it is seen, without the picture's own border."""
    starts = {(segment.keep.start + shift) % length for segment in segments}
    return starts - {0}


def _caption(draw: ImageDraw.ImageDraw, request: Request, plans: Sequence[TilePlan], top: int) -> None:
    height, width = (side * LATENT_SCALE for side in request.canvas)
    tiles = len(plans[0].tiles)
    draw.text((MARGIN, top), f"{width}x{height} in {tiles} tiles; borders at steps 1 to {len(plans)}", fill=INK)
