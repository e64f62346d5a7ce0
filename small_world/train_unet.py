"""Trains UNet and text encoder together on latents of drawn scenes to predict noise (Rombach et al. 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from small_world.crops import crop
from small_world.precision import autocast
from small_world.progress import Training, channels_last, on_workers
from small_world.renderer import centre_of
from small_world.scene import Scene, describe, random_scene
from small_world.schedule import STEPS, alphas_cumprod, noised
from small_world.text import new_text_encoder, tokenize
from small_world.train_judge import Centre, spots_at
from small_world.unet import UNet

RATE = 8e-4
WORDINGS = 3
DROPOUT = 0.1
"""Share of empty captions, for classifier-free guidance (Ho & Salimans 2022)."""
OFFSET = 0.1
"""Noise common to all pixels, so that the model learns to change a picture's mean (trial: less murky pictures)."""

EMPHASIS, REACH = 4.0, 24.0
"""Added weight of the error at a thing's centre, and its reach in pixels: a thing is a twentieth of its picture, and
without this a short training learns to draw blobs."""

LEAST = 0.25
"""Least weight of the error at a time. Without it the cleanest time counts a two-hundredth of a noisy one, and
the model shipped leaves 0.7 of the noise there: of 0.029 it leaves 0.020; from a time of 50 it comes within 0.013."""

CROPS = 0.5
"""Share of squares cut from larger scenes (`small_world.crops`) in a batch."""
CROPS_UNTIL = 700
"""The noisiest time at which they are learnt. Before it a picture's layout is open, and the model goes on making whole
scenes of its own size; after it a model that finishes an enlarged picture tile by tile sees what it has before it."""


class Painter(nn.Module):
    """UNet and text encoder as one trainable module."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet, self.text = UNet(), new_text_encoder(tokenizer)

    def forward(self, x: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Return the predicted noise [B, 4, h, w]."""
        unique, rows = tokens.unique(dim=0, return_inverse=True)
        return self.unet(x, times, self.text(unique).last_hidden_state[rows])


def caption_tokens(tokenizer: CLIPTokenizer, scenes: list[Scene]) -> Tensor:
    """Return the tokens of several wordings of the captions of scenes, [wordings, scenes, 77]."""
    wordings = [[describe(scene, WORDINGS * scene.seed + n) for scene in scenes] for n in range(WORDINGS)]
    return torch.stack([tokenize(tokenizer, captions) for captions in wordings])


def emphasis(scenes: list[Scene], centres: Sequence[Centre | None], side: int) -> Tensor:
    """Return the weight of the error at each latent pixel of pictures of this side, [scenes, 1, side/8, side/8].

    The scenes' things are at the centres, x and y in image pixels.
    """
    return 1 + EMPHASIS * spots_at(scenes, centres, side, stride=8, reach=REACH).amax(1, keepdim=True)


@dataclass(frozen=True)
class Lessons:
    """Pictures to learn: scaled latents [N, 4, h, w], tokens [wordings, N, 77], and weights [N, 1, h, w]."""

    latents: Tensor
    tokens: Tensor
    weights: Tensor

    def some(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return latents, tokens and weights of pictures drawn at random, each in one of its wordings."""
        rows = torch.randint(len(self.latents), (count,), device=self.latents.device)
        wording = torch.randint(len(self.tokens), (count,), device=self.latents.device)
        return self.latents[rows].float(), self.tokens[wording, rows], self.weights[rows]


def lessons(
    path: Path, scenes: list[Scene], centres: Sequence[Centre | None], tokenizer: CLIPTokenizer, device: str
) -> Lessons:
    """Return the latents of a file with the captions of their scenes, whose things are at the centres."""
    latents = torch.from_numpy(np.load(path)).to(device)
    weights = emphasis(scenes, centres, 8 * latents.shape[-1]).to(device)
    return Lessons(latents, caption_tokens(tokenizer, scenes).to(device), weights)


def loss_of(model: Painter, z: Tensor, times: Tensor, tokens: Tensor, weights: Tensor) -> Tensor:
    """Return the error of the predicted noise, weighted by min(SNR, 5) / SNR (Hang et al. 2023, eq. 8 for noise).

    No time weighs less than LEAST, and `weights` [B, 1, h, w] weigh each latent pixel's error.
    """
    noise = torch.randn_like(z) + OFFSET * torch.randn(*z.shape[:2], 1, 1, device=z.device)
    predicted = model(noised(z, noise, times).contiguous(memory_format=torch.channels_last), times, tokens)
    alpha = alphas_cumprod().to(z.device, torch.float32)[times]
    ratio = alpha / (1 - alpha)
    weight = (ratio.clamp(max=5.0) / ratio).clamp(min=LEAST)
    error = (weights * F.mse_loss(predicted.float(), noise, reduction="none")).mean((1, 2, 3))
    return (weight * error).mean()


def train(
    folder: Path,
    whole: Path,
    crops: Path,
    tokenizer: CLIPTokenizer,
    minutes: float,
    device: str,
    workers: int,
    rate: float = RATE,
) -> Painter:
    """Train for so many minutes on the latents of scenes and of squares, both from 0 on; return the averaged model."""
    model = Painter(tokenizer)
    channels_last(model, device)
    on_workers(_work, workers, model, folder, whole, crops, tokenizer, minutes, device, rate)
    model.load_state_dict(torch.load(folder / "painter.pt", map_location=device, weights_only=True)["averaged"])
    return model.eval().requires_grad_(False)


def _work(
    worker: int,
    model: Painter,
    folder: Path,
    whole: Path,
    crops: Path,
    tokenizer: CLIPTokenizer,
    minutes: float,
    device: str,
    rate: float,
) -> None:
    training = Training("painter", model, folder, minutes, rate, worker)
    scenes = [random_scene(seed) for seed in range(len(np.load(whole, mmap_mode="r")))]
    squares = [crop(number) for number in range(len(np.load(crops, mmap_mode="r")))]
    pictures = lessons(whole, scenes, [centre_of(scene) for scene in scenes], tokenizer, device)
    parts = lessons(crops, [one.scene for one in squares], [one.centre for one in squares], tokenizer, device)
    empty = tokenize(tokenizer, [""]).to(device)
    batch = 16 if device == "cpu" else 256
    close = round(CROPS * batch)
    torch.manual_seed(1000 * training.step + worker)
    while training.running:
        drawn = zip(pictures.some(batch - close), parts.some(close), strict=True)
        latents, text, weights = (torch.cat(both) for both in drawn)
        text = torch.where(torch.rand(batch, 1, device=device) < DROPOUT, empty, text)
        latest = torch.tensor([STEPS] * (batch - close) + [CROPS_UNTIL] * close, device=device)
        times = (torch.rand(batch, device=device) * latest).long()
        with autocast(device):
            loss = loss_of(model, latents, times, text, weights)
        training.update(loss)


def text_features(text: CLIPTextModel, tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Return the text encoder's features [captions, 77, 128]."""
    device = next(text.parameters()).device
    features: Tensor = text(tokenize(tokenizer, captions).to(device)).last_hidden_state
    return features
