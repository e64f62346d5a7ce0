"""Hints of a neighbour like ControlNet: cut with the tiles for one model call, the same objects afterwards."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lib_instantas.denoiser import ModelCall
from lib_instantas.hosts.a1111.parts import SamplingPass
from lib_instantas.hosts.a1111.parts.controlnet import controlnet_hints
from lib_instantas.settings import Settings
from lib_instantas.tiling import Segment, Span, Tile, TilePlan

CANVAS = 16, 24


class Unit:
    """A unit as sd-webui-controlnet has it: a new hint forgets what was derived from the old one."""

    def __init__(self, hint: torch.Tensor, hires_hint: torch.Tensor | None = None, kind: str = "ControlNet") -> None:
        self._hint_cond = hint
        self.hr_hint_cond = hires_hint
        self.control_model_type = SimpleNamespace(name=kind)
        self.control_model: Any = SimpleNamespace()
        self.effective_region_mask: torch.Tensor | None = None
        self.used_hint_cond: Any = "the hint in use"
        self.used_hint_cond_latent: Any = torch.zeros(2, 4, *CANVAS)
        self.used_hint_inpaint_hijack: Any = "derived"

    @property
    def hint_cond(self) -> torch.Tensor:
        return self._hint_cond


def places(height: int, width: int) -> torch.Tensor:
    """A hint that tells each pixel its place: [1, 2, height, width]."""
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([down, across]).float()[None]


def tile(top: int, left: int, side: int = 8) -> Tile:
    rows, columns = Span(top, top + side), Span(left, left + side)
    return Tile(Segment(rows, rows), Segment(columns, columns))


def call(*tiles: Tile, rows: int = 2, shift: tuple[int, int] = (0, 0)) -> ModelCall:
    return ModelCall(TilePlan(CANVAS, tiles, shift, closed=(shift[0] != 0, shift[1] != 0)), tiles, rows)


def part_for(unit: Unit, hires: bool = False) -> Any:
    script = SimpleNamespace(latest_network=SimpleNamespace(control_params=[unit]))
    p = SimpleNamespace(scripts=SimpleNamespace(alwayson_scripts=[SimpleNamespace(), script]), is_hr_pass=hires)
    return controlnet_hints(SamplingPass(p, Settings(), CANVAS, 8, (0,)))


def corner(hint: torch.Tensor) -> list[list[float]]:
    return hint[:, :, 0, 0].tolist()


def test_a_tile_gets_its_part_of_the_hint_at_image_resolution() -> None:
    unit = Unit(places(16 * 8, 24 * 8))
    with part_for(unit)(call(tile(8, 16))):
        assert unit.hint_cond.shape == (1, 2, 64, 64)
        assert corner(unit.hint_cond) == [[64, 128]]
        assert unit.used_hint_cond is None
        assert unit.used_hint_cond_latent is None


def test_a_batch_of_tiles_gets_a_row_for_each_of_its_rows() -> None:
    unit = Unit(places(16 * 8, 24 * 8))
    with part_for(unit)(call(tile(0, 0), tile(8, 8), rows=2)):
        assert corner(unit.hint_cond) == [[0, 0], [0, 0], [64, 64], [64, 64]]


def test_a_hint_is_rolled_with_a_ring() -> None:
    unit = Unit(places(16 * 8, 24 * 8))
    with part_for(unit)(call(tile(8, 16), shift=(0, 4))):
        assert corner(unit.hint_cond) == [[64, 160]]
        assert unit.hint_cond[0, 1, 0, -1] == 31  # the tile ends four latent pixels beyond the right border


def test_each_pass_of_hires_fix_uses_its_own_hint() -> None:
    small, large = places(8 * 8, 12 * 8), places(16 * 8, 24 * 8)
    unit = Unit(small, large)
    with part_for(unit, hires=True)(call(tile(8, 16))):
        assert unit.hint_cond is small
        assert unit.hr_hint_cond is not None
        assert corner(unit.hr_hint_cond) == [[64, 128]]
    unit = Unit(large, places(32 * 8, 48 * 8))
    with part_for(unit, hires=False)(call(tile(8, 16))):
        assert corner(unit.hint_cond) == [[64, 128]]
        assert unit.hr_hint_cond is None  # or the unit might take the tile for a part of the hires pass


def test_a_mask_of_any_size_is_cut_too() -> None:
    unit = Unit(places(16 * 8, 24 * 8))
    unit.effective_region_mask = torch.zeros(1, 1, 100, 120)
    unit.effective_region_mask[..., 60:] = 1
    for left, inside in ((0, 0), (16, 1)):
        with part_for(unit)(call(tile(0, left))):
            assert unit.effective_region_mask.shape == (1, 1, 8, 8)
            assert (unit.effective_region_mask == inside).all()


@pytest.mark.parametrize("kind", ["AttentionInjection", "IPAdapter"])
def test_a_reference_picture_stays_whole(kind: str) -> None:
    hint = places(16 * 8, 24 * 8)
    unit = Unit(hint, kind=kind)
    with part_for(unit)(call(tile(0, 0), rows=2)):
        assert unit.hint_cond is hint
        assert unit.used_hint_cond_latent is not None
    with part_for(unit)(call(tile(0, 0), tile(8, 8), rows=2)):
        assert unit.used_hint_cond_latent is None  # it would have too few rows


def test_an_adapter_does_not_remember_another_tile() -> None:
    unit = Unit(places(16 * 8, 24 * 8), kind="T2I_Adapter")
    unit.control_model = SimpleNamespace(control="features of another hint", hint_cond="that hint")
    with part_for(unit)(call(tile(0, 0))):
        assert unit.control_model.control is None
    assert unit.control_model.control == "features of another hint"


class ImageAdapter:
    """An IP-Adapter as sd-webui-controlnet has it: it keeps keys and values, and its region lies on the canvas."""

    def __init__(self, region: torch.Tensor | None = None) -> None:
        self.cache: dict[str, Any] = {"layer": "of the whole canvas"}
        self.effective_region_mask = region

    def apply_effective_region_mask(self, out: torch.Tensor) -> torch.Tensor:
        return out


def adapting(region: torch.Tensor | None = None) -> tuple[ImageAdapter, Any]:
    unit = Unit(places(16 * 8, 24 * 8), kind="IPAdapter")
    unit.control_model = ImageAdapter(region)
    return unit.control_model, part_for(unit)


def test_an_image_adapter_keeps_what_it_made_for_calls_of_as_many_rows() -> None:
    adapter, part = adapting()
    with part(call(tile(0, 0))):
        adapter.cache["layer"] = "of two rows"
    with part(call(tile(0, 0), tile(8, 8))):
        assert adapter.cache == {}
        adapter.cache["layer"] = "of four rows"
    for tiles, kept in ((1, "of two rows"), (2, "of four rows")):
        with part(call(*[tile(0, 0)] * tiles)):
            assert adapter.cache["layer"] == kept
    assert adapter.cache == {"layer": "of the whole canvas"}


@pytest.mark.parametrize("side", [8, 4, 2])
def test_the_region_of_an_image_adapter_is_cut_for_each_row_at_each_resolution(side: int) -> None:
    region = torch.zeros(1, 1, 16 * 8, 24 * 8)
    region[..., 12 * 8 :] = 1
    adapter, part = adapting(region)
    with part(call(tile(0, 0), tile(0, 8), tile(8, 16), rows=2)):
        kept = adapter.apply_effective_region_mask(torch.ones(6, side * side, 3))
    expected = torch.zeros(3, side, side)
    expected[1, :, side // 2 :] = expected[2] = 1
    assert torch.equal(kept, expected.flatten(1).repeat_interleave(2, dim=0).unsqueeze(-1).expand(-1, -1, 3))
    assert "apply_effective_region_mask" not in vars(adapter)


def test_an_image_adapter_is_as_it_was_after_a_failure() -> None:
    adapter, part = adapting(torch.ones(1, 1, 8, 8))
    before = vars(adapter).copy()
    with pytest.raises(RuntimeError, match="failed"), part(call(tile(0, 0))):
        raise RuntimeError("the model failed")
    assert vars(adapter) == before
    assert all(vars(adapter)[name] is value for name, value in before.items())


def test_everything_is_the_object_it_was_even_after_a_failure() -> None:
    unit = Unit(places(16 * 8, 24 * 8), places(32 * 8, 48 * 8))
    unit.effective_region_mask = torch.ones(1, 1, 10, 10)
    before = vars(unit).copy()
    with pytest.raises(RuntimeError, match="failed"), part_for(unit)(call(tile(0, 0))):
        raise RuntimeError("the model failed")
    assert all(vars(unit)[name] is value for name, value in before.items())


def test_a_canvas_asked_about_as_a_whole_keeps_its_hint() -> None:
    hint = places(16 * 8, 24 * 8)
    unit = Unit(hint)
    whole = Tile(Segment(Span(0, 16), Span(0, 16)), Segment(Span(0, 24), Span(0, 24)))
    with part_for(unit)(call(whole)):
        assert unit.hint_cond is hint
        assert unit.used_hint_cond == "the hint in use"


def test_without_controlnet_there_is_no_part() -> None:
    p = SimpleNamespace(scripts=SimpleNamespace(alwayson_scripts=[SimpleNamespace(latest_network=None)]))
    assert controlnet_hints(SamplingPass(p, Settings(), CANVAS, 8, (0,))) is None
