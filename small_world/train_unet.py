"""Trains UNet and text encoder together on latents of drawn scenes to predict noise (Rombach et al. 2022)."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from small_world.progress import Stage, channels_last, on_workers
from small_world.scene import Scene, describe, random_scene
from small_world.schedule import STEPS, alphas_cumprod, noised
from small_world.text import new_text_encoder, tokenize
from small_world.train_judge import spots
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


class Painter(nn.Module):
    """UNet and text encoder as one trainable module."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet, self.text = UNet(), new_text_encoder(tokenizer)

    def forward(self, x: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Return the predicted noise [B, 4, h, w]."""
        unique, rows = tokens.unique(dim=0, return_inverse=True)
        return self.unet(x, times, self.text(unique).last_hidden_state[rows])


def caption_tokens(tokenizer: CLIPTokenizer, count: int) -> Tensor:
    """Return the tokens of several wordings of the captions of scenes 0..count-1, [wordings, count, 77]."""
    scenes = [random_scene(seed) for seed in range(count)]
    wordings = [[describe(scene, WORDINGS * scene.seed + n) for scene in scenes] for n in range(WORDINGS)]
    return torch.stack([tokenize(tokenizer, captions) for captions in wordings])


def emphasis(scenes: list[Scene], side: int) -> Tensor:
    """Return the weight of the error at each latent pixel of pictures of this side, [scenes, 1, side/8, side/8]."""
    return 1 + EMPHASIS * spots(scenes, side, stride=8, reach=REACH).amax(1, keepdim=True)


def loss_of(model: Painter, z: Tensor, tokens: Tensor, weights: Tensor) -> Tensor:
    """Return the error of the predicted noise, weighted by min(SNR, 5) / SNR (Hang et al. 2023, eq. 8 for noise).

    `weights` [B, 1, h, w] weigh each latent pixel's error.
    """
    times = torch.randint(0, STEPS, (len(z),), device=z.device)
    noise = torch.randn_like(z) + OFFSET * torch.randn(*z.shape[:2], 1, 1, device=z.device)
    predicted = model(noised(z, noise, times).contiguous(memory_format=torch.channels_last), times, tokens)
    alpha = alphas_cumprod().to(z.device, torch.float32)[times]
    ratio = alpha / (1 - alpha)
    weight = ratio.clamp(max=5.0) / ratio
    error = (weights * F.mse_loss(predicted.float(), noise, reduction="none")).mean((1, 2, 3))
    return (weight * error).mean()


def train(folder: Path, latents: Path, tokenizer: CLIPTokenizer, minutes: float, device: str, workers: int) -> Painter:
    """Train for so many minutes on scaled latents [N, 4, h, w] of scenes 0..N-1; return the averaged model."""
    model = Painter(tokenizer)
    channels_last(model, device)
    on_workers(_work, workers, model, folder, latents, tokenizer, minutes, device)
    model.load_state_dict(torch.load(folder / "painter.pt", map_location=device, weights_only=True)["averaged"])
    return model.eval().requires_grad_(False)


def _work(
    worker: int, model: Painter, folder: Path, path: Path, tokenizer: CLIPTokenizer, minutes: float, device: str
) -> None:
    stage = Stage("painter", model, folder, minutes, RATE, worker)
    latents = torch.from_numpy(np.load(path)).to(device)
    tokens = caption_tokens(tokenizer, len(latents)).to(device)
    weights = emphasis([random_scene(seed) for seed in range(len(latents))], 8 * latents.shape[-1]).to(device)
    empty = tokenize(tokenizer, [""]).to(device)
    batch = 16 if device == "cpu" else 256
    torch.manual_seed(1000 * stage.step + worker)
    while stage.running:
        rows = torch.randint(len(latents), (batch,), device=device)
        text = tokens[torch.randint(WORDINGS, (batch,), device=device), rows]
        text = torch.where(torch.rand(batch, 1, device=device) < DROPOUT, empty, text)
        with torch.autocast(device, torch.bfloat16):
            loss = loss_of(model, latents[rows].float(), text, weights[rows])
        stage.update(loss)


def text_features(text: CLIPTextModel, tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Return the text encoder's features [captions, 77, 128]."""
    device = next(text.parameters()).device
    features: Tensor = text(tokenize(tokenizer, captions).to(device)).last_hidden_state
    return features
