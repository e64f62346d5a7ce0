"""Fidelity: a given picture keeps its colours and large shapes while the tiles add their details.

At each evaluation the low frequencies of the predicted picture (x0) are moved to those of the latents that the pass
began with. (Choi et al. 2021, "ILVR: Conditioning Method for Denoising Diffusion Probabilistic Models", section 3.2,
on predictions, and with a Gaussian in place of shrinking and enlarging.) A tile sees only its own part, and takes a
part of the sky for a scene of its own, or for another light: what it thinks of the whole is what is taken from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

COARSE = 1 / 8
"""Standard deviation of the Gaussian, as a share of the tile side that the model knows: 64 image pixels for SD 1.x."""

REACH = 3
"""How many standard deviations the Gaussian reaches."""


class LowPass:
    """What is left of latents [..., h, w] through a Gaussian of `deviation` latent pixels.

    An axis (vertical, horizontal) that is `closed` goes on at its other end, an open one repeats its border.
    """

    def __init__(self, deviation: float, closed: tuple[bool, bool]) -> None:
        self._reach = math.ceil(REACH * deviation)
        line = [math.exp(-(place**2) / (2 * deviation**2)) for place in range(-self._reach, self._reach + 1)]
        self._line = torch.tensor([weight / sum(line) for weight in line])
        self._closed = closed
        self._beyond: tuple[Tensor, Tensor] | None = None

    def __call__(self, latents: Tensor) -> Tensor:
        """The low frequencies, of the same shape. The first call settles the device and the size."""
        if self._beyond is None:
            self._line = self._line.to(latents.device)
            sides = zip(latents.shape[-2:], self._closed, strict=True)
            self._beyond = tuple(self._padded(side, closed).to(latents.device) for side, closed in sides)  # type: ignore[assignment]
        assert self._beyond is not None
        rows, columns = self._beyond
        planes = latents.float().reshape(-1, 1, *latents.shape[-2:])
        planes = F.conv2d(planes.index_select(-2, rows), self._line[None, None, :, None])
        planes = F.conv2d(planes.index_select(-1, columns), self._line[None, None, None, :])
        return planes.reshape(latents.shape)

    def _padded(self, side: int, closed: bool) -> Tensor:
        places = torch.arange(-self._reach, side + self._reach)
        return places % side if closed else places.clamp(0, side - 1)


class Fidelity:
    """Holds predictions to `reference` [B, C, h, w]: the latents of the given pictures, one of each of a batch.

    `strength` is 1 for low frequencies that are altogether those of the reference, 0 for none of it; `native` is the
    tile side that the model knows, in latent pixels.
    """

    def __init__(self, reference: Tensor, strength: float, native: int, closed: tuple[bool, bool]) -> None:
        self.strength = strength
        self._low = LowPass(native * COARSE, closed)
        self._lows = self._low(reference)

    def is_of(self, x: Tensor) -> bool:
        """Whether the reference has the size of the canvas x [B, C, h, w]."""
        return x.shape[1:] == self._lows.shape[1:]

    def held(self, predicted: Tensor, pictures: Sequence[int]) -> Tensor:
        """Predictions of x0 [R, C, h, w], held; `pictures` says whose of the batch each row is."""
        return (predicted.float() + self._missing(predicted, pictures)).to(predicted.dtype)

    def held_noise(self, x: Tensor, noise: Tensor, kept: Tensor, pictures: Sequence[int]) -> Tensor:
        """The same for predictions of the noise in x; `kept` [R] or [1] is the share of variance that is not noise.

        x = sqrt(kept) x0 + sqrt(1 - kept) noise.
        """
        kept = kept.float().reshape(-1, 1, 1, 1)
        clean = (x.float() - (1 - kept).sqrt() * noise.float()) / kept.sqrt()
        moved = (kept / (1 - kept)).sqrt() * self._missing(clean, pictures)
        return (noise.float() - moved).to(noise.dtype)

    def held_velocity(self, x: Tensor, velocity: Tensor, kept: Tensor, pictures: Sequence[int]) -> Tensor:
        """The same for predictions of v = sqrt(kept) noise - sqrt(1 - kept) x0 (Salimans and Ho 2022)."""
        kept = kept.float().reshape(-1, 1, 1, 1)
        clean = kept.sqrt() * x.float() - (1 - kept).sqrt() * velocity.float()
        moved = self._missing(clean, pictures) / (1 - kept).sqrt()
        return (velocity.float() - moved).to(velocity.dtype)

    def _missing(self, clean: Tensor, pictures: Sequence[int]) -> Tensor:
        """What predictions of x0 lack of their pictures' low frequencies."""
        lows = torch.stack([self._lows[picture] for picture in pictures])
        return self.strength * (lows - self._low(clean))
