"""One generation, from settings to pictures with metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from modules import extra_networks, shared
from modules.sd_samplers_cfg_denoiser import CFGDenoiser
from modules.sd_samplers_common import InterruptedException


@dataclass
class Processing:
    scripts: Any
    script_args: tuple[Any, ...]
    width: int = 512
    height: int = 256
    steps: int = 3
    seed: int = 5
    n_iter: int = 1
    batch_size: int = 1
    conditions: int = 1
    cfg_scale: float = 7.0
    denoising_strength: float = 0.75
    sampler_name: str = "Euler"
    hr_upscaler: str | None = None
    hr_second_pass_steps: int = 0
    enable_hr: bool = False
    hr_scale: float = 2.0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    is_hr_pass: bool = False
    is_img2img: bool = False
    refiner: Any = None
    refiner_step: int = 0
    image_cond: Tensor | None = None
    encodes: Tensor | None = None
    styles: list[str] = field(default_factory=list)
    extra_generation_params: dict[str, Any] = field(default_factory=dict)
    grid: bool = False
    all_seeds: list[int] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    extra_network_data: dict[str, list[Any]] | None = None
    hr_extra_network_data: dict[str, list[Any]] | None = None

    def parse_extra_network_prompts(self) -> None:
        self.extra_network_data, self.hr_extra_network_data = {}, {}

    def init(self) -> None:
        if self.encodes is not None:
            self.init_latent = shared.sd_model.first_stage_model.encoder(self.encodes)

    def sample(self) -> Tensor:
        latents = _sample(self, self.width, self.height, self.steps)
        return self.sample_hr_pass() if self.enable_hr else latents

    def sample_hr_pass(self) -> Tensor:
        self.is_hr_pass = True
        extra_networks.activate(self, self.hr_extra_network_data or {})
        self.extra_generation_params |= {"Hires upscaler": self.hr_upscaler, "Denoising strength": 0.5}
        width, height = self.hr_resize_x, self.hr_resize_y
        if not width and not height:
            width, height = int(self.width * self.hr_scale), int(self.height * self.hr_scale)
        latents = _sample(self, width, height, self.hr_second_pass_steps or self.steps)
        self.is_hr_pass = False
        return latents


def _sample(p: Processing, width: int, height: int, steps: int) -> Tensor:
    """Euler steps from seeded noise; an interrupt ends them early."""
    if not (p.is_img2img and hasattr(p, "denoiser")):
        # img2img makes its sampler once, for all pictures of a batch
        p.denoiser = CFGDenoiser(p, steps, [p.conditions] * p.batch_size)
    p.denoiser.step = 0
    shape = 1, 4, height // 8, width // 8
    x = torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 10 for seed in p.seeds])
    text = torch.linspace(0, 1, 77 * 8).reshape(1, 77, 8)
    image_cond = torch.zeros(1, 5, 1, 1) if p.image_cond is None else p.image_cond
    for sigma in torch.linspace(10, 1, steps):
        try:
            denoised = p.denoiser(x, sigma.reshape(1), text, image_cond)
        except InterruptedException:
            break
        x = denoised + (x - denoised) * 0.5
    return x


class DecodedSamples(list):
    already_decoded = True


def decode_latent_batch(model: Any, batch: Tensor, target_device: Any, check_for_nans: bool) -> DecodedSamples:
    """Pictures [3, H, W] in -1..1."""
    return DecodedSamples(model.first_stage_model.decoder(latents[None])[0].to(target_device) for latents in batch)


def create_infotext(p: Processing) -> str:
    generation_params = {"Steps": p.steps, "Size": f"{p.width}x{p.height}", **p.extra_generation_params}
    for key, value in generation_params.items():
        if callable(value):
            generation_params[key] = value(p=p)
    return ", ".join(f"{key}: {_quoted(value)}" for key, value in generation_params.items())


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text


def fix_seed(p: Processing) -> None:
    p.seed = 7 if p.seed == -1 else p.seed


def process_images(p: Processing) -> SimpleNamespace:
    """Pictures as the autoencoder decodes them; without one the first latent channels, eight pixels to a latent."""
    p.all_seeds = [p.seed + i for i in range(p.n_iter * p.batch_size)]
    p.scripts.call("process", p)
    p.init()
    images, infotexts, latents = [], [], []
    for iteration in range(p.n_iter):
        p.seeds = p.all_seeds[iteration * p.batch_size : (iteration + 1) * p.batch_size]
        p.parse_extra_network_prompts()
        extra_networks.activate(p, p.extra_network_data or {})
        for sample in _decoded(p, p.sample()):
            latents.append(sample)
            result = SimpleNamespace(image=_picture(sample))
            p.scripts.call("postprocess_image", p, result)
            images.append(result.image)
            infotexts.append(create_infotext(p))
    processed = SimpleNamespace(
        images=images,
        infotexts=infotexts,
        latents=latents,
        width=p.width,
        height=p.height,
        all_seeds=p.all_seeds,
        index_of_first_image=0,
    )
    if p.grid:
        for values in (images, infotexts):
            values.insert(0, values[0])
        processed.index_of_first_image = 1
    p.scripts.call("postprocess", p, processed)
    return processed


def _decoded(p: Processing, samples: Any) -> Any:
    """What `sample` has answered, after the scripts have seen it; latents stay so where the model has no decoder."""
    answered = SimpleNamespace(samples=samples)
    p.scripts.post_sample(p, answered)
    if getattr(answered.samples, "already_decoded", False):
        return answered.samples
    if not hasattr(shared.sd_model, "first_stage_model"):
        return answered.samples.split(1)
    return decode_latent_batch(shared.sd_model, answered.samples, torch.device("cpu"), check_for_nans=True)


def _picture(latents: Tensor) -> Image.Image:
    if latents.ndim == 3:
        return Image.fromarray(latents.clamp(-1, 1).add(1).mul(127.5).byte().permute(1, 2, 0).numpy())
    pixels = latents[0, :3].clamp(0, 1).mul(255).byte().repeat_interleave(8, -1).repeat_interleave(8, -2)
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
