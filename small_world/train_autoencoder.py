"""Trains the autoencoder on crops of drawn pictures, then whole ones: mean absolute error, edges, and a touch of KL.

`train` makes it from nothing, `train_decoder` goes on with the decoder of one that other weights already rest on.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from small_world.autoencoder import Autoencoder
from small_world.precision import autocast
from small_world.progress import Training, channels_last, on_workers

Loss = Callable[[Autoencoder, Tensor], Tensor]
STD = 1 / 0.18215
"""Standard deviation of latents in Stable Diffusion 1.x, whose hosts multiply them by 0.18215."""
RATE = 2.5e-4
LESSONS = ((0.75, 128, 4), (9.9, 256, 1))
"""Until which share of the time, side of the crops and rows. Small crops teach most for their price; whole pictures,
last, teach the statistics that the normalisations depend on."""
NOISE = 0.05
"""Most noise on the latents that a decoder is trained on alone, as a share of their standard deviation. Painted latents
keep noise of 0.02 where a scene is smooth, drawn ones have less than 0.002, and a decoder that never saw it makes grain
of it."""


def as_input(pictures: NDArray[np.uint8], device: str) -> Tensor:
    """Return pictures [B, H, W, 3] as a tensor [B, 3, H, W] in -1..1."""
    return torch.tensor(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def loss_of(model: Autoencoder, x: Tensor) -> Tensor:
    """Return reconstruction error with a term for edges, plus 1e-6 of the KL divergence from a unit Gaussian."""
    mean, log_variance = model.moments(x)
    z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    y = model.decode(z).float()
    mean, log_variance = mean.float(), log_variance.float()
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    return _error(y, x) + 1e-5 * kl


def _error(y: Tensor, x: Tensor) -> Tensor:
    rows, columns = (F.l1_loss(torch.diff(y, dim=axis), torch.diff(x, dim=axis)) for axis in (2, 3))
    return F.l1_loss(y, x) + F.mse_loss(y, x) + rows + columns


def decoder_loss_of(model: Autoencoder, x: Tensor) -> Tensor:
    """Return the root mean square error, picture by picture, of decoding latents: half clean, half with some noise.

    In a short trial from the same weights, mean absolute error and edges left whole scenes 0.5 dB worse than this.
    """
    with torch.no_grad():
        mean, _ = model.moments(x)
    level = NOISE * STD * (2 * torch.rand(len(x), 1, 1, 1, device=x.device) - 1).clamp(min=0)
    y = model.decode(mean + level * torch.randn_like(mean)).float()
    return (y - x).square().mean((1, 2, 3)).add(1e-6).sqrt().mean()


def train(folder: Path, pictures: Sequence[Path], minutes: float, device: str, workers: int) -> Autoencoder:
    """Train on pictures drawn into .npy files and return the averaged model, its latents normalised to SD's scale."""
    model = _fit("autoencoder", Autoencoder(), loss_of, folder, pictures, minutes, device, workers)
    normalise(model, as_input(np.load(pictures[0], mmap_mode="r")[:100], device))
    return model


def train_decoder(
    model: Autoencoder, folder: Path, pictures: Sequence[Path], minutes: float, device: str, workers: int
) -> Autoencoder:
    """Train only the decoder, so that latents mean what they meant, and return the averaged model."""
    for part in (model.decoder, model.post_quant_conv):
        part.requires_grad_(True)
    return _fit("decoder", model, decoder_loss_of, folder, pictures, minutes, device, workers)


def _fit(
    name: str, model: Autoencoder, loss: Loss, folder: Path, pictures: Sequence[Path], minutes: float, device: str,
    workers: int,
) -> Autoencoder:  # fmt: skip
    channels_last(model, device)
    on_workers(_work, workers, model, name, loss, folder, pictures, minutes, device)
    model.load_state_dict(torch.load(folder / f"{name}.pt", map_location=device, weights_only=True)["averaged"])
    return model.eval().requires_grad_(False)


def _work(
    worker: int, model: Autoencoder, name: str, loss: Loss, folder: Path, paths: Sequence[Path], minutes: float,
    device: str,
) -> None:  # fmt: skip
    training = Training(name, model, folder, minutes, RATE, worker)
    files = [np.load(path, mmap_mode="r") for path in paths]
    rng = np.random.default_rng([worker, training.step])
    while training.running:
        side, rows = next((side, rows) for share, side, rows in LESSONS if training.spent < share * training.budget)
        x = as_input(_crops(files, rows, side, rng), device).contiguous(memory_format=torch.channels_last)
        with autocast(device):
            error = loss(model, x)
        training.update(error)


def _crops(files: Sequence[NDArray[np.uint8]], rows: int, side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    def crop() -> NDArray[np.uint8]:
        pictures = files[int(rng.integers(len(files)))]
        picture = pictures[rng.integers(len(pictures))]
        y, x = rng.integers(picture.shape[0] - side + 1), rng.integers(picture.shape[1] - side + 1)
        return picture[y : y + side, x : x + side]

    return np.stack([crop() for _ in range(rows)])


@torch.no_grad()
def encode(model: Autoencoder, pictures: Tensor, batch: int = 10) -> Tensor:
    """Return the means of the latents, [N, 4, H/8, W/8], not scaled."""
    device = next(model.parameters()).device.type
    with autocast(device):
        parts = [model.moments(part.contiguous(memory_format=torch.channels_last))[0] for part in pictures.split(batch)]
    return torch.cat(parts).float()


def normalise(model: Autoencoder, sample: Tensor) -> None:
    """Fold into the weights that latents have mean 0 and SD's standard deviation in every channel."""
    z = encode(model, sample)
    model.rescale(z.mean((0, 2, 3)), z.std((0, 2, 3)) / STD)
