"""Many pictures at once through the engine: rows of a batch are independent pictures with prompts of their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import Settings
from small_world.checkpoint import SCALE, Model
from small_world.precision import autocast
from small_world.schedule import alphas_cumprod, ddim, times_of
from small_world.train_unet import text_features

NATIVE = 32
GUIDANCE = 5.0
Predict = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How pictures are painted; `size` is (height, width) in image pixels, no settings means no tiles."""

    size: tuple[int, int]
    settings: Settings | None = None
    sampler: str = "DDIM"
    steps: int = 20

    @property
    def per_step(self) -> int:
        """How often the sampler asks the model in each step but the last."""
        return 2 if self.sampler == "Heun" else 1

    @property
    def evaluations(self) -> int:
        """How often it asks in all."""
        return self.per_step * (self.steps - 1) + 1


@torch.no_grad()
def paint(model: Model, captions: Sequence[str], recipe: Recipe, seed: int, batch: int = 4) -> Tensor:
    """Return pictures [captions, 3, H, W] in 0..1; picture i starts from the noise of seed + i."""
    parts = [_paint(model, captions[i : i + batch], recipe, seed + i) for i in range(0, len(captions), batch)]
    return torch.cat(parts)


def _paint(model: Model, captions: Sequence[str], recipe: Recipe, seed: int) -> Tensor:
    device = next(model.painter.parameters()).device
    canvas = (recipe.size[0] // 8, recipe.size[1] // 8)
    noise = torch.cat([_noise(seed + i, canvas) for i in range(len(captions))]).to(device)
    samplers: dict[str, Callable[[Predict, Tensor, int], Tensor]] = {"DDIM": ddim, "Euler a": euler_a, "Heun": heun}
    sample = samplers[recipe.sampler]
    latents = sample(_predictor(model, captions, recipe, canvas, seed), noise, recipe.steps)
    with autocast(device.type):
        pictures = torch.cat([model.autoencoder.decode(z[None] / SCALE).float() for z in latents])
    return pictures.mul(0.5).add(0.5).clamp(0, 1)


def _noise(seed: int, canvas: tuple[int, int]) -> Tensor:
    return torch.randn(1, 4, *canvas, generator=torch.Generator().manual_seed(seed))


def _predictor(model: Model, captions: Sequence[str], recipe: Recipe, canvas: tuple[int, int], seed: int) -> Predict:
    features = text_features(model.painter.text, model.tokenizer, [*captions, ""])
    context = torch.cat([features[:-1], features[-1:].expand(len(captions), -1, -1)])
    unet = model.painter.unet

    def evaluate(x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        with autocast(x.device.type):
            return unet(x.contiguous(memory_format=torch.channels_last), times, context).float()

    tiled = None
    if recipe.settings is not None:
        method = make_method(Request(canvas, NATIVE, recipe.settings, seed, recipe.evaluations, recipe.per_step))
        tiled = TiledDenoiser(evaluate, method, tile_batch=64)

    def predict(x: Tensor, times: Tensor) -> Tensor:
        both = (tiled or evaluate)(torch.cat([x, x]), torch.cat([times, times]), context=context)
        if tiled:
            tiled.next_evaluation()
        wanted, empty = both.chunk(2)
        return empty + GUIDANCE * (wanted - empty)

    return predict


def sigmas_of(steps: int, like: Tensor) -> Tensor:
    """Return the noise levels of a run, and 0 at its end."""
    alphas = alphas_cumprod().to(like.device, like.dtype)[times_of(steps)]
    return torch.cat([((1 - alphas) / alphas).sqrt(), alphas.new_zeros(1)])


@torch.no_grad()
def euler_a(predict: Predict, noise: Tensor, steps: int) -> Tensor:
    """Return the latents that Euler's ancestral sampler makes of noise (Karras et al. 2022; eta 1)."""
    times, sigmas = times_of(steps), sigmas_of(steps, noise)
    generator = torch.Generator().manual_seed(int(noise.abs().sum() * 1000))
    x = noise * (1 + sigmas[0] ** 2).sqrt()
    for index, time in enumerate(times.tolist()):
        sigma, after = sigmas[index], sigmas[index + 1]
        direction = predict(x / (1 + sigma**2).sqrt(), torch.full((len(x),), time, device=x.device))
        fresh = (after**2 * (sigma**2 - after**2) / sigma**2).sqrt()
        x = x + direction * ((after**2 - fresh**2).sqrt() - sigma)
        x = x + fresh * torch.randn(x.shape, generator=generator).to(x)
    return x


@torch.no_grad()
def heun(predict: Predict, noise: Tensor, steps: int) -> Tensor:
    """Return the latents that Heun's method makes of noise (Karras et al. 2022, algorithm 1 without its churn).

    It asks twice in every step but the last: at the step's beginning and at its end.
    """
    times, sigmas = times_of(steps), sigmas_of(steps, noise)
    x = noise * (1 + sigmas[0] ** 2).sqrt()

    def direction(x: Tensor, index: int) -> Tensor:
        return predict(x / (1 + sigmas[index] ** 2).sqrt(), torch.full((len(x),), int(times[index]), device=x.device))

    for index in range(steps):
        begin, width = direction(x, index), sigmas[index + 1] - sigmas[index]
        end = direction(x + begin * width, index + 1) if index + 1 < steps else begin
        x = x + (begin + end) / 2 * width
    return x
