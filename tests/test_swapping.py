"""SaFa: overlaps are interleaved, and rows of a reference view come into the middles of tiles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from lib_instantas.fusion import assemble
from lib_instantas.hosts.standalone import Generator, Job
from lib_instantas.hosts.swapping import Places, ReferenceSwap
from lib_instantas.methods import InterleavedGrid, Request, make_method
from lib_instantas.settings import parse_settings


def grid(name: str, canvas: tuple[int, int], **values: Any) -> InterleavedGrid:
    method = make_method(Request(canvas, 16, parse_settings({"method": name, **values})))
    assert isinstance(method, InterleavedGrid)
    return method


def test_an_overlap_is_the_papers_swap_operator_applied_to_both_views() -> None:
    """v_i = (1 - (-1)^floor((i - 1) / w)) / 2 with w = 1: v of the left view, 1 - v of the right one (i from 1)."""
    plan = grid("Latent Swap", (16, 28), overlap=0.25).plan(0)
    left, right = plan.tiles
    assert (left.x.window.stop - right.x.window.start) == 4
    views = [torch.randn(1, 4, 16, 16) for _ in range(2)]
    swapped = assemble(plan, list(zip(plan.tiles, views, strict=True)))
    v = torch.tensor([(1 - (-1) ** (i - 1)) / 2 for i in range(1, 5)])
    assert torch.equal(swapped[..., 12:16], v * views[0][..., 12:] + (1 - v) * views[1][..., :4])
    assert torch.equal(swapped[..., :12], views[0][..., :12])
    assert torch.equal(swapped[..., 16:], views[1][..., 4:])


def test_nothing_is_averaged_on_two_axes_or_under_many_tiles() -> None:
    plan = grid("Latent Swap", (40, 90), overlap=0.7).plan(0)
    answers = [(tile, torch.full((1, 1, *tile.size), float(number))) for number, tile in enumerate(plan.tiles)]
    swapped = assemble(plan, answers)
    assert torch.equal(swapped, swapped.round())
    counts = swapped.int().flatten().bincount(minlength=len(plan.tiles))
    assert (counts > 0).all(), "every tile has its turn"


def test_on_a_ring_the_last_tile_is_interleaved_with_the_first() -> None:
    plan = grid("Latent Swap", (16, 64), overlap=0.25, wrap="horizontal").plan(0)
    answers = [(tile, torch.full((1, 1, *tile.size), float(number))) for number, tile in enumerate(plan.tiles)]
    row = assemble(plan, answers)[0, 0, 0].tolist()
    first, last = plan.tiles[0].x.window, plan.tiles[-1].x.window
    overlap = [row[place % 64] for place in range(first.start + 64, last.stop)]
    assert len(overlap) >= 3
    assert set(overlap) == {0.0, float(len(plan.tiles) - 1)}
    assert all(a != b for a, b in pairwise(overlap))


def test_every_other_row_of_a_middle_is_that_of_the_reference_view_at_the_same_place() -> None:
    method = grid("SaFa", (16, 40), overlap=0.25)
    places = Places.of(method.reference, torch.device("cpu"))
    canvas, view = torch.zeros(1, 1, 16, 40), torch.arange(1.0, 257.0).reshape(1, 1, 16, 16)
    swapped = places.swapped(canvas, view)[0, 0]
    expected = torch.zeros(16, 40)
    windows = [tile.x.window for tile in method.plan(0).tiles]
    for number, window in enumerate(windows):
        start = windows[number - 1].stop if number else 0
        stop = windows[number + 1].start if number + 1 < len(windows) else 40
        for row in range(1, 16, 2):
            expected[row, start:stop] = view[0, 0, row, start - window.start : stop - window.start]
    assert torch.equal(swapped, expected)


STEPS = 10


def canvases(pipeline: Any, sampler: str = "DDIM", **values: Any) -> list[torch.Tensor]:
    """After each step, a picture of 256x64 from a model that knows 64x64."""
    settings = parse_settings({"enabled": True, "overlap": 0.25, **values})
    made: list[torch.Tensor] = []
    job = Job("a fox", (64, 256), settings, seed=1, steps=STEPS, sampler=sampler)
    Generator(pipeline)(job, on_step=lambda step, canvas: made.append(canvas))
    return made


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a", "DPM++ 2M"])
def test_the_view_is_what_the_sampler_makes_of_its_noise_by_itself(
    pipeline: Any, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tiles, from the same noise, and from the same source of randomness."""
    views: list[torch.Tensor] = []
    swaps: list[ReferenceSwap] = []
    own = ReferenceSwap.__call__

    def noted(self: ReferenceSwap, latents: torch.Tensor, step: int) -> torch.Tensor:
        swaps.append(self)
        views.append(self.view)
        return own(self, latents, step)

    monkeypatch.setattr(ReferenceSwap, "__call__", noted)
    canvases(pipeline, sampler, method="SaFa")
    settings = parse_settings({"enabled": True, "method": "SaFa"})
    method = make_method(Request((8, 32), 8, settings))
    again = ReferenceSwap(pipeline, method, 1, 7.0, STEPS, STEPS)
    alone: list[torch.Tensor] = []
    pipeline(
        "a fox", negative_prompt="", height=64, width=64, guidance_scale=7.0, num_inference_steps=STEPS,
        latents=again.view / again.scheduler.init_noise_sigma, generator=again.generator, output_type="latent",
        callback_on_step_end=lambda _, step, timestep, state: alone.append(state["latents"]) or state,
    )  # fmt: skip
    assert len(views) == STEPS
    for step in range(3):
        torch.testing.assert_close(views[step], alone[step], rtol=1e-4, atol=1e-4)
    assert torch.equal(views[2], views[-1]), "it is made for the first 30 % of the steps"


def test_the_picture_holds_the_view_in_the_first_steps_and_goes_its_own_way_after(pipeline: Any) -> None:
    whole, alone = canvases(pipeline, method="SaFa"), canvases(pipeline, method="Latent Swap")
    places = Places.of(make_method(Request((8, 32), 8, parse_settings({"method": "SaFa", "overlap": 0.25}))).reference,
                       torch.device("cpu"))  # fmt: skip
    for one, other in zip(whole[:1], alone[:1], strict=True):
        same = (one == other).all(1)[0]
        assert torch.equal(same, ~places.taken)
    assert not torch.equal(whole[-1], alone[-1])
    assert torch.equal(whole[-1], canvases(pipeline, method="SaFa")[-1])
