"""A batch of pictures equals its pictures made one by one, also where each has a plan of its own."""

from __future__ import annotations

import torch

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import Request, make_method
from lib_instantas.pictures import PicturesDenoiser
from lib_instantas.settings import parse_settings

CANVAS = (16, 100)


def neighbourhood(x: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """A model whose answer depends on where the tile ends."""
    return x.mean((-2, -1), keepdim=True) + x * sigma.reshape(-1, 1, 1, 1) + tokens.reshape(-1, 1, 1, 1)


def denoiser(seed: int) -> TiledDenoiser:
    settings = parse_settings({"schedule": "random", "edges": "ring", "movement": "together"})
    return TiledDenoiser(neighbourhood, make_method(Request(CANVAS, 16, settings, seed)))


def test_each_row_follows_its_own_pictures_plan_in_any_order_and_number() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(3, 4, *CANVAS, generator=generator)
    seeds = (5, 6, 7)
    batch = PicturesDenoiser([denoiser(seed) for seed in seeds])
    singles = [denoiser(seed) for seed in seeds]
    for _ in range(4):
        batch.begin_evaluation(pictures.repeat(2, 1, 1, 1))
        for rows in ([0, 1, 2, 0, 1, 2], [2, 0], [1, 1, 1, 2]):
            sigma, tokens = torch.rand(len(rows), generator=generator), torch.rand(len(rows), generator=generator)
            together = batch(pictures[rows], sigma, tokens=tokens)
            for place, picture in enumerate(rows):
                one = slice(place, place + 1)
                alone = singles[picture](pictures[rows][one], sigma[one], tokens=tokens[one])
                torch.testing.assert_close(together[one], alone)
        for made in (batch, *singles):
            made.next_evaluation()


def test_plans_of_different_seeds_do_differ() -> None:
    x = torch.randn(1, 4, *CANVAS)
    first, second = denoiser(5), denoiser(6)
    for made in (first, second):
        made.next_evaluation()
    assert not torch.equal(
        first(x, torch.ones(1), tokens=torch.zeros(1)), second(x, torch.ones(1), tokens=torch.zeros(1))
    )
