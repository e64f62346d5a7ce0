"""How large a picture is composed first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.composition import first_size, schedule_steps, second_steps


@pytest.mark.parametrize(
    ("size", "native", "first"),
    [
        ((512, 2048), 64, (256, 1024)),
        ((2048, 2048), 64, (512, 512)),
        ((2048, 512), 64, (1024, 256)),
        ((512, 4096), 64, (192, 1472)),  # 181 x 1448 in steps of 64
        ((2160, 3840), 128, (768, 1344)),  # SDXL's own size for 16:9
        ((523, 1209), 64, (320, 768)),
        ((256, 2048), 32, (96, 736)),  # small models: 91 x 724 in steps of 32
    ],
)
def test_the_first_picture_has_the_models_area_and_the_final_ratio(size: tuple, native: int, first: tuple) -> None:
    assert first_size(size, native) == first


@pytest.mark.parametrize("size", [(512, 512), (512, 768), (256, 1024)])
def test_a_picture_of_about_the_models_area_is_not_composed_first(size: tuple[int, int]) -> None:
    assert first_size(size, 64) is None


@given(st.integers(64, 8192), st.integers(64, 8192), st.sampled_from([32, 64, 96, 128]))
def test_the_first_picture_is_never_larger_than_the_finished_one(height: int, width: int, native: int) -> None:
    first = first_size((height, width), native)
    if first is None:
        assert height * width <= 1.5 * (8 * native) ** 2
    else:
        assert first[0] <= height
        assert first[1] <= width


@pytest.mark.parametrize(("steps", "strength", "second"), [(20, 0.5, 10), (20, 1, 20), (1, 0.05, 1), (30, 0.35, 10)])
def test_the_second_stage_makes_its_share_of_the_steps(steps: int, strength: float, second: int) -> None:
    assert second_steps(steps, strength) == second


@given(st.integers(1, 150), st.floats(0.05, 1))
def test_the_second_stage_begins_at_the_strength(steps: int, strength: float) -> None:
    made = second_steps(steps, strength)
    schedule = schedule_steps(made, strength)
    assert schedule >= made
    assert abs(made / schedule - strength) <= strength / (2 * schedule) + 1e-9
