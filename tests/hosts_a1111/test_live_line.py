"""The line below the panel: what will be done, in words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lib_instantas.hosts.a1111.live_line import PlannedPass, _beside, forecast, line_for, passes_of
from lib_instantas.hosts.a1111.settings_page import parse_arguments
from lib_instantas.hosts.a1111.sizes import Output, size_warnings
from lib_instantas.settings import Settings, names
from lib_instantas.texts import messages

SHARE = r"about (\d+)% of the work of the whole picture at once, in the memory of one tile"


def settings(**values: Any) -> Settings:
    return parse_arguments([{"enabled": True, **values}])


def test_the_line_says_what_is_done_and_what_would_be_done_without() -> None:
    line = forecast(settings(), [PlannedPass("", (512, 2048), 20)], native=64)
    assert line.startswith("4 tiles of 512x512, 80 UNet evaluations of a tile instead of 20 of 2048x512: about ")
    share = int(re.search(rf"{SHARE}$", line)[1])
    assert 80 < share < 100, "attention over the whole canvas costs more than over its quarters"


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ({"enabled": False}, (512, 2048), "Off. Switched on: 4 tiles of 512x512"),
        ({"method": "direct"}, (512, 2048), "20 UNet evaluations of 2048x512 at once, 4.0 times the model's 512x512"),
        ({}, (512, 512), "nothing to do, 512x512 fits one tile; 20 UNet evaluations as without"),
        (
            {"regions": [{"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a"}]},
            (512, 512),
            "512x512 fits one tile, in which only the regions act; 20 UNet evaluations as without",
        ),
        ({"method": "direct"}, (512, 512), "20 UNet evaluations of 512x512 at once, the model's own size"),
        ({"tile": 256}, (256, 512), "2 tiles of 256x256, 40 UNet evaluations of a tile instead of 20 of 512x256: "),
        (
            {"method": "MultiDiffusion", "overlap": 0.875},
            (512, 2048),
            "25 tiles of 512x512, 500 UNet evaluations",
        ),
        (
            {"method": "ScaleCrafter"},
            (1024, 1024),
            "1 tile of 1024x1024, 20 UNet evaluations, dilation 2 in the first 12; the whole picture at once, "
            "4.0 times the model's 512x512",
        ),
        (
            {"method": "ScaleCrafter"},
            (512, 2048),
            "nothing to do, 2048x512's shorter side is not longer than the model's own; 20 UNet evaluations as without",
        ),
    ],
)
def test_the_line_for(values: dict, size: tuple[int, int], expected: str) -> None:
    assert forecast(settings(**values), [PlannedPass("", size, 20)], native=64).startswith(expected)


@pytest.mark.parametrize(
    ("edges", "gamma", "said"),
    [
        ("ring", 0.25, "; the grid moves 128 px down and 128 px across at a time"),
        ("elastic", 0.25, "; the grid moves 128 px down and 128 px across at a time"),
        ("elastic/ring", 0.5, "; the grid moves 256 px across at a time"),
        ("sway", 0.5, "; the grid stands still"),
        ("clamp", 0.0, "; the grid stands still"),
    ],
)
def test_the_line_says_how_far_a_cyclic_grid_moves(edges: str, gamma: float, said: str) -> None:
    chosen = settings(fit="native", edges=edges, gamma=gamma, schedule="cyclic")
    assert forecast(chosen, [PlannedPass("", (1024, 1024), 20)], native=64).endswith(said)
    assert "the grid" not in forecast(settings(edges=edges), [PlannedPass("", (1024, 1024), 20)], native=64)


def test_the_line_warns_of_a_picture_that_the_file_format_cannot_hold() -> None:
    wide = [PlannedPass("", (64, 20000), 1)]
    assert "webp files hold at most 16383 pixels a side" in forecast(settings(), wide, 64, Output("webp"))
    assert "files hold" not in forecast(settings(), wide, 64, Output("png"))


@pytest.mark.parametrize(
    ("size", "output", "expected"),
    [
        ((512, 20000), Output("png"), []),
        ((4096, 4096), Output("png", "Approx NN"), []),
        ((70000, 64), Output("jpg"), ["jpg files hold at most 65535 pixels"]),
        ((16384, 16384), Output("png"), ["more than 178956970 pixels cannot be opened again"]),
        ((512, 20000), Output("png", "TAESD", "webp"), ["live previews in webp hold at most 16383"]),
        ((512, 20000), Output("png", "Approx cheap", "webp"), []),
        ((8192, 8192), Output("png", "Full"), ["by the method Full takes 0.8 GB"]),
    ],
)
def test_what_a_large_picture_cannot_be_is_said(size: tuple[int, int], output: Output, expected: list[str]) -> None:
    warnings = list(size_warnings(size, output))
    assert len(warnings) == len(expected)
    assert all(part in warning for part, warning in zip(expected, warnings, strict=True))


def test_the_line_of_a_huge_picture_is_quick_and_right() -> None:
    line = forecast(settings(fit="native", edges="ring"), [PlannedPass("", (32768, 32768), 150)], native=64)
    assert line.startswith(f"{64 * 64} tiles of 512x512, {64 * 64 * 150} UNet evaluations of a tile")


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ({"width": 2048, "height": 512, "steps": 20, "sampling": "Euler"}, [PlannedPass("", (512, 2048), 20)]),
        (
            {"width": 512, "height": 512, "steps": 20, "sampling": "Heun"},
            [PlannedPass("", (512, 512), 40, exact=False)],
        ),
        ({"steps": 20, "sampling": "DDIM"}, [PlannedPass("", (512, 512), 20, exact=False)]),
        ({"steps": 20, "denoising_strength": 0.5}, [PlannedPass("", (512, 512), 11)]),
        (
            {"width": 600, "height": 512, "steps": 8, "hr-checkbox": True, "hr_scale": 2.0, "hires_steps": 5},
            [PlannedPass("first pass: {work}", (512, 600), 8), PlannedPass("hires pass: {work}", (1024, 1200), 5)],
        ),
        (
            {"width": 512, "height": 256, "steps": 8, "hr-checkbox": True, "hr_resize_x": 1024, "hr_resize_y": 0},
            [PlannedPass("first pass: {work}", (256, 512), 8), PlannedPass("hires pass: {work}", (512, 1024), 8)],
        ),
    ],
)
def test_the_pages_controls_tell_the_passes(controls: dict, expected: list[PlannedPass]) -> None:
    assert passes_of(settings(), controls) == expected


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (0.004, "about 0% of the work of tiles from the first step on"),
        (0.734, "about 73% of the work of "),
        (0.96, "about as much work as "),
        (1.049, "about as much work as "),
        (1.25, "about 1.2 times as much work as "),
        (9.96, "about 10 times as much work as "),
        (123.4, "about 123 times as much work as "),
    ],
)
def test_work_is_compared_in_words(work: float, said: str) -> None:
    assert _beside(work, messages.FROM_NOISE()).startswith(said)


GIVEN = {"width": 512, "height": 512, "steps": 20, "denoising_strength": 0.3, "given": "1024x768"}


@pytest.mark.parametrize(
    ("values", "controls", "expected"),
    [
        ({"upscale_by": 4}, GIVEN, [PlannedPass("", (3072, 4096), 7, given=(768, 1024))]),
        ({"upscale_by": 1.5, "width": 999}, GIVEN, [PlannedPass("", (1152, 999), 7, given=(768, 1024))]),
        ({"upscale_by": 1}, GIVEN, [PlannedPass("", (512, 512), 7)]),
        ({"upscale_by": 2}, {**GIVEN, "given": ""}, []),
        ({"upscale_by": 2, "width": 800, "height": 600}, {**GIVEN, "given": ""}, [PlannedPass("", (600, 800), 7)]),
        (
            {"upscale_by": 2},
            {"width": 512, "height": 512, "steps": 20},
            [
                PlannedPass("", (512, 512), 20),
                PlannedPass("then {work}", (1024, 1024), 7, given=(512, 512)),
            ],
        ),
        (
            {"upscale_by": 2, "width": 333},
            {"width": 512, "height": 200, "steps": 8, "hr-checkbox": True, "hr_scale": 1.5},
            [
                PlannedPass("first pass: {work}", (200, 333), 8),
                PlannedPass("hires pass: {work}", (300, 499), 8),
                PlannedPass("then {work}", (600, 998), 3, given=(300, 499)),
            ],
        ),
        (
            {"upscale_by": 2, "compose": True},
            {"width": 2048, "height": 512, "steps": 20},
            [
                PlannedPass("composed first: {work}", (256, 1024), 20, composes=True),
                PlannedPass("then {work}", (512, 2048), 10),
                PlannedPass("then {work}", (1024, 4096), 7, given=(512, 2048)),
            ],
        ),
    ],
)
def test_what_is_enlarged_is_a_pass_of_its_own(values: dict, controls: dict, expected: list[PlannedPass]) -> None:
    assert passes_of(settings(**values), controls) == expected


def in_order(**given: Any) -> list[Any]:
    return list(settings(**given).dict().values())


def test_the_line_says_from_what_to_what_a_picture_is_enlarged_and_what_that_costs() -> None:
    line = line_for(in_order(upscale_by=4), {**GIVEN, "given": "1024x1024"})
    assert line.startswith("1024x1024 → 4096x4096 by Lanczos: 64 tiles of 576x640, 448 UNet evaluations of a tile ")
    assert re.search(rf"instead of 7 of 4096x4096: {SHARE}", line)
    unknown = line_for(in_order(upscale_by=4), {**GIVEN, "given": ""})
    assert unknown.startswith("the given picture, 4 times as wide and high by Lanczos, finished in tiles of about 512")
    own = line_for(in_order(upscale_by=2, width=640), {"width": 512, "height": 512, "steps": 20})
    assert "; then 640x512 → 1280x1024 by Lanczos: 4 tiles of" in own
    assert "The size is the panel's 640x512, not the page's" in own


def test_an_own_size_goes_before_the_pages() -> None:
    assert passes_of(settings(width=1209), {"width": 640, "height": 523}) == [PlannedPass("", (523, 1209), 20)]


def test_the_line_names_a_wrong_setting() -> None:
    values = list(settings().dict().values())
    values[names().index("gamma")] = 3
    assert line_for(values, {}) == "InstantAS: gamma must be between 0 and 1, got 3"
