"""`benchmarks.whole_pictures`: arithmetic on known times, and short runs on tiny networks."""

from __future__ import annotations

import pytest
import torch
from tiny_pipelines import vae
from tiny_unets import diffusers_unet

from benchmarks import whole_pictures
from benchmarks.unet import UNETS, conditioning_of, inputs, tiny, unet
from benchmarks.whole_pictures import OURS, WAYS, Lap, WholePicture


def test_ways_take_turns_and_make_pictures_of_the_size() -> None:
    model, decoder = diffusers_unet(), vae()
    side = int(model.config.sample_size)
    pictures = {name: WholePicture(model, decoder, settings, (side, 3 * side), 3) for name, settings in WAYS.items()}
    laps = whole_pictures.make_in_turns(pictures, 3)
    assert all(len(values) == 4 for values in laps.values())
    with torch.inference_mode():
        assert {picture.decode().shape for picture in pictures.values()} == {(1, 3, 8 * side, 24 * side)}


def test_equal_steps_of_a_stretch_are_timed_once_and_counted_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    model, decoder = diffusers_unet(), vae()
    side = int(model.config.sample_size)
    pictures = {name: WholePicture(model, decoder, WAYS[name], (side, 3 * side), 10) for name in ("direct", OURS)}
    timed: dict[str, list[int]] = {name: [] for name in pictures}
    for name, picture in pictures.items():
        monkeypatch.setattr(picture, "step", timed[name].append)
    monkeypatch.setattr(whole_pictures, "lap", lambda run, device: (run(), Lap(1, 2))[1])
    laps = whole_pictures.make_in_turns(pictures, 10, every=5)
    assert timed["direct"] == [0, 5]
    assert timed[OURS] == [0, 5, 8], "with context from the eighth on"
    assert laps["direct"] == laps[OURS] == [Lap(5, 10), Lap(5, 10), Lap(1, 2)]


def test_the_tiles_of_each_step_are_those_of_a_run_of_that_length() -> None:
    """With context in the last evaluations, as in a picture that somebody makes."""
    model = diffusers_unet()
    side = int(model.config.sample_size)
    picture = WholePicture(model, vae(), {}, (side, 4 * side), 20)
    seen: list[int] = []
    model.conv_in.register_forward_pre_hook(lambda _, given: seen.append(given[0].numel()))
    with torch.inference_mode():
        for number in range(20):
            picture.step(number)
    plans = [picture.denoiser.method.plan(step) for step in range(20)]
    assert sum(seen) == sum(2 * 4 * plan.computed for plan in plans)
    assert plans[-1].computed >= plans[1].computed


def test_how_many_times_faster_ours_is() -> None:
    ours, theirs = [Lap(1, 2), Lap(3, 2)], [Lap(2, 6), Lap(6, 2)]
    figures = whole_pictures.figures_of({OURS: ours, "direct": theirs})
    assert figures["direct"]["faster"] == pytest.approx(2)
    assert figures["direct"]["faster_computing"] == pytest.approx(2)
    assert (figures["direct"]["low"], figures["direct"]["high"]) == (pytest.approx(2), pytest.approx(2))
    assert (figures[OURS]["seconds"], figures[OURS]["decoding"]) == (4, 3)


@pytest.mark.parametrize("name", UNETS)
def test_every_shape_is_given_what_it_wants(name: str) -> None:
    model = unet(tiny(UNETS[name]))
    x, time_step, _ = inputs(model, 8, 16, 2)
    with torch.inference_mode():
        assert model(x, time_step, **conditioning_of(model, 2)).sample.shape == x.shape
