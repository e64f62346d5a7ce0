"""With and without: two generations in one job, without a WebUI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from modules import paths, shared
from modules.processing import Processing, process_images

from lib_instantas.errors import SettingsError
from lib_instantas.hosts.a1111.comparing import WITHOUT, ComparisonScript
from lib_instantas.presets import PRESETS
from lib_instantas.settings import names, parse_settings


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "data_path", str(tmp_path))


def compared(p: Processing, *beside: str) -> Any:
    return ComparisonScript().run(p, *beside)


def assert_made(pictures: Any, *wanted: Processing) -> None:
    """Whether these are the pictures, and what is said of them, of generations by themselves."""
    alone = [process_images(one) for one in wanted]
    assert pictures.infotexts == [text for one in alone for text in one.infotexts]
    expected = [image for one in alone for image in one.images]
    assert len(pictures.images) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(pictures.images, expected, strict=True))
    assert pictures.all_seeds == [seed for one in alone for seed in one.all_seeds]


@pytest.mark.parametrize("enabled", [True, False])
def test_both_are_what_they_are_by_themselves_whether_the_panel_is_on_or_off(
    make: Callable[..., Processing], enabled: bool
) -> None:
    made = compared(make({"enabled": enabled, "gamma": 0.1}))
    assert_made(made, make({"enabled": True, "gamma": 0.1}), make())
    assert "InstantAS" in made.infotexts[0]
    assert "InstantAS" not in made.infotexts[1]
    assert not np.array_equal(*made.images)


def test_the_panels_values_in_order_do_the_same(make: Callable[..., Processing]) -> None:
    values = [parse_settings({"edges": "ring"}).dict()[name] for name in names()]
    assert_made(compared(make(values)), make({"enabled": True, "edges": "ring"}), make())


def test_beside_a_preset(make: Callable[..., Processing]) -> None:
    asked = {"enabled": True, "edges": "ring", "tile_batch": 2}
    beside = {"enabled": True, "tile_batch": 2, **PRESETS["As in the paper"].values}
    assert_made(compared(make(asked), "As in the paper"), make(asked), make(beside))


def test_the_second_has_the_first_ones_canvas(make: Callable[..., Processing]) -> None:
    made = compared(make({"enabled": True, "width": 381, "height": 200}))
    assert [image.size for image in made.images] == [(381, 200), (384, 200)]
    assert_made(made, make({"enabled": True, "width": 381, "height": 200}), make(width=384, height=200))


def test_all_pictures_of_a_batch_and_no_grid(make: Callable[..., Processing]) -> None:
    made = compared(make({"enabled": True}, n_iter=3, grid=True))
    assert_made(made, make({"enabled": True}, n_iter=3), make(n_iter=3))
    assert made.index_of_first_image == 0
    assert shared.state.job_count == 6


def test_a_random_seed_is_drawn_once(make: Callable[..., Processing]) -> None:
    made = compared(make({"enabled": True}, seed=-1))
    assert made.all_seeds[0] == made.all_seeds[1] != -1


def test_the_generation_that_it_was_asked_with_stays_as_it_was(make: Callable[..., Processing]) -> None:
    p = make({"enabled": True, "width": 381, "height": 200}, extra_generation_params={"Kept": 1})
    before = dict(vars(p), extra_generation_params=dict(p.extra_generation_params))
    compared(p)
    assert vars(p) == before
    assert type(p) is Processing


def test_interrupted_there_is_one(make: Callable[..., Processing], model: Any) -> None:
    model.before_call = lambda count: setattr(shared.state, "interrupted", count > 1)
    made = compared(make({"enabled": True}))
    assert len(made.images) == 1
    assert "InstantAS" in made.infotexts[0]


def test_where_the_second_fails_the_first_is_there_and_why(make: Callable[..., Processing], model: Any) -> None:
    def fail(count: int) -> None:
        if model.inputs[-1][-1] == 64:
            raise RuntimeError("out of memory")

    model.before_call = fail
    made = compared(make({"enabled": True}))
    assert len(made.images) == 1
    assert made.comments == f"InstantAS: The second picture could not be made: {WITHOUT}: out of memory\n"


SMALL = {"width": 128, "height": 128}
"""The size that the model knows."""


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, SMALL),
        ({"width": 125}, SMALL),
        ({"method": "direct"}, {}),
        ({"method": "ScaleCrafter"}, {"width": 384, "height": 128}),
    ],
)
def test_what_would_be_the_same_is_made_once(
    make: Callable[..., Processing], model: Any, settings: dict[str, Any], size: dict[str, int]
) -> None:
    given = {"enabled": True, **settings}
    made = compared(make(given, **size))
    calls = len(model.inputs)
    assert_made(made, make(given, **size))
    assert len(model.inputs) == 2 * calls
    assert made.comments.startswith("InstantAS: Nothing to compare: with these settings InstantAS changes nothing")


@pytest.mark.parametrize("settings", [{"wrap": "horizontal"}, {"tile": 64}])
def test_what_differs_within_one_tile_is_compared(make: Callable[..., Processing], settings: dict[str, Any]) -> None:
    made = compared(make({"enabled": True, **settings}, **SMALL))
    assert len(made.images) == 2
    assert not np.array_equal(*made.images)


def test_a_preset_that_is_chosen_already_makes_nothing_more(make: Callable[..., Processing]) -> None:
    made = compared(make({"enabled": True, "preset": "As in the paper"}), "As in the paper")
    assert len(made.images) == 1
    assert made.comments.startswith("InstantAS: Nothing to compare: the panel has the settings of As in the paper")


def test_a_preset_that_changes_nothing_either_is_not_shown(make: Callable[..., Processing]) -> None:
    made = compared(make({"enabled": True}, **SMALL), "As in the paper")
    assert len(made.images) == 1
    assert "Nothing to compare" in made.comments
    other = compared(make({"enabled": True}, **SMALL), "Seamless texture")
    assert len(other.images) == 2


def test_a_preset_that_there_is_not_makes_nothing(make: Callable[..., Processing], model: Any) -> None:
    with pytest.raises(SettingsError, match=r"preset must be one of Standard, .*, got 'Nothing'"):
        compared(make({"enabled": True}), "Nothing")
    assert model.inputs == []


def test_a_wrong_setting_is_told(make: Callable[..., Processing]) -> None:
    with pytest.raises(SettingsError, match="gamma must be between 0 and 1, got 7"):
        compared(make({"enabled": True, "gamma": 7}))
