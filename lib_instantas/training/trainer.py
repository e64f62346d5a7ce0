"""Fine-tunes a LoRA on pictures of several ratios, batches of one size (Any-Size-Diffusion, section "ARAD")."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lib_instantas.device import training_precision
from lib_instantas.lora_names import name_of
from lib_instantas.settings import SettingsError
from lib_instantas.tiling import LATENT_SCALE, Size
from lib_instantas.training.pictures import Example

BLOCKS = ("down_blocks.", "mid_block.", "up_blocks.")
WARM_UP = 0.05
"""Share of the steps in which the learning rate rises; afterwards it falls along a cosine."""

ADAPTER = "ratio"

Emphasis = Literal["even", "layout"]


@dataclass(frozen=True)
class Plan:
    """How a LoRA is trained. `save_every` are seconds, `dropout` the share of captions left out for guidance.

    `emphasis` is "even" (every noise level as often, as in the paper) or "layout": a level t of T comes with a
    probability proportional to t, since what lies where is settled while there is much noise.
    """

    steps: int = 10_000
    batch: int = 8
    rate: float = 1e-4
    rank: int = 16
    seed: int = 0
    dropout: float = 0.1
    emphasis: Emphasis = "even"
    save_every: float = 120.0


class Trainer:
    """A pipeline whose UNet has a LoRA that is being trained.

    Every step draws its batch and noise from the seed and its own number, so that a training which goes on makes the
    steps that it would have made. `state` is the file to go on from. Raises SettingsError where it belongs to another
    training.
    """

    def __init__(
        self, pipeline: Any, examples: Sequence[Example], latents: Sequence[Tensor], plan: Plan, state: Path
    ) -> None:
        from accelerate import Accelerator

        self.pipeline, self.plan, self.state = pipeline, plan, state
        self.examples, self.latents = examples, latents
        self.buckets = _by_size(examples)
        device = pipeline.unet.device
        self.accelerator = Accelerator(mixed_precision=training_precision(device), cpu=device.type == "cpu")
        self.layers = add_adapter(pipeline.unet, plan.rank)
        self.weights = [weight for weight in pipeline.unet.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(self.weights, lr=plan.rate, betas=(0.9, 0.99), weight_decay=0.01)
        self.unet, self.optimizer = self.accelerator.prepare(pipeline.unet, optimizer)
        self.step = 0
        self._resume()

    def run(self, on_step: Callable[[int, float], None]) -> None:
        """Make the steps that are left; `on_step(steps done, loss)` is called after each."""
        self.unet.train()
        saved = time.monotonic()
        while self.step < self.plan.steps:
            loss = self._train()
            self.step += 1
            if time.monotonic() - saved > self.plan.save_every or self.step == self.plan.steps:
                self.save()
                saved = time.monotonic()
            on_step(self.step, loss)

    def _train(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate * learning_rate(self.step / self.plan.steps)
        loss = self._loss(random.Random(f"{self.plan.seed}/{self.step}"))
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def _loss(self, draw: random.Random) -> Tensor:
        """The squared error of what the model predicts of a noised batch (the paper's equation 2)."""
        device, scheduler = self.unet.device, self.pipeline.scheduler
        rows = self._rows(draw)
        generator = torch.Generator("cpu").manual_seed(draw.getrandbits(63))
        latents = torch.stack([self.latents[row] for row in rows]).float()
        noise = torch.randn(latents.shape, generator=generator)
        draws = 2 if self.plan.emphasis == "layout" else 1
        levels = torch.randint(scheduler.config.num_train_timesteps, (draws, len(rows)), generator=generator)
        times = levels.amax(0)
        noisy = scheduler.add_noise(latents, noise, times)
        is_v = scheduler.config.prediction_type == "v_prediction"
        target = scheduler.get_velocity(latents, noise, times) if is_v else noise
        captions = ["" if draw.random() < self.plan.dropout else self.examples[row].caption for row in rows]
        conditioning = self._conditioning(captions, self.examples[rows[0]].size)
        with self.accelerator.autocast():
            predicted = self.unet(noisy.to(device), times.to(device), **conditioning).sample
        return (predicted.float() - target.to(device)).square().mean()

    def _rows(self, draw: random.Random) -> list[int]:
        """The numbers of examples of one size; sizes come as often as they have examples."""
        bucket = draw.choices(self.buckets, [len(rows) for rows in self.buckets])[0]
        return draw.sample(bucket, min(self.plan.batch, len(bucket)))

    @torch.no_grad()
    def _conditioning(self, captions: list[str], size: Size) -> dict[str, Any]:
        device = self.unet.device
        encoded = self.pipeline.encode_prompt(
            prompt=captions, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        arguments: dict[str, Any] = {"encoder_hidden_states": encoded[0]}
        if len(encoded) > 2:  # SDXL: pooled text, and the size that a picture had, its crop and its size now
            times = torch.tensor([[*size, 0, 0, *size]] * len(captions), device=device, dtype=encoded[0].dtype)
            arguments["added_cond_kwargs"] = {"text_embeds": encoded[2], "time_ids": times}
        return arguments

    def kohya(self) -> dict[str, Tensor]:
        """The LoRA as it stands, in half precision, under kohya's names."""
        unet = self.pipeline.unet
        weights: dict[str, Tensor] = {}
        for path in self.layers:
            layer, name = unet.get_submodule(path), name_of(path, unet.config)
            weights[f"{name}.lora_down.weight"] = _half(layer.lora_A[ADAPTER].weight)
            weights[f"{name}.lora_up.weight"] = _half(layer.lora_B[ADAPTER].weight)
            weights[f"{name}.alpha"] = torch.tensor(float(self.plan.rank)).half()
        return weights

    def write(self, file: Path) -> None:
        """Write the LoRA as a safetensors file that the WebUI, Forge and diffusers read."""
        from safetensors.torch import save_file

        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        save_file(self.kohya(), part, metadata=self._metadata())
        part.replace(file)

    def _metadata(self) -> dict[str, str]:
        is_sdxl = self.pipeline.unet.config.addition_embed_type == "text_time"
        rank = str(self.plan.rank)
        return {
            "ss_network_module": "networks.lora",
            "ss_network_dim": rank,
            "ss_network_alpha": rank,
            "ss_network_args": f'{{"conv_dim": "{rank}", "conv_alpha": "{rank}"}}',
            "ss_base_model_version": "sdxl_base_v1-0" if is_sdxl else "sd_v1",
            "ss_v2": "False",
            "ss_steps": str(self.step),
        }

    @contextmanager
    def painting(self) -> Iterator[Any]:
        """Inside, the pipeline paints with the LoRA as it stands, and nothing is trained."""
        self.unet.eval()
        try:
            with torch.no_grad(), self.accelerator.autocast():
                yield self.pipeline
        finally:
            self.unet.train()

    def save(self) -> None:
        """Write what is needed to go on."""
        self.state.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "about": self._about(),
            "step": self.step,
            "weights": [weight.detach().cpu() for weight in self.weights],
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(kept, self.state.with_suffix(".part"))
        self.state.with_suffix(".part").replace(self.state)

    def _about(self) -> dict[str, Any]:
        plan = self.plan
        return {"rank": plan.rank, "batch": plan.batch, "rate": plan.rate, "seed": plan.seed, "layers": self.layers}

    def _resume(self) -> None:
        if not self.state.exists():
            return
        kept = torch.load(self.state, map_location="cpu", weights_only=True)
        now = self._about()
        other = [name for name in now if kept["about"][name] != now[name]]
        if other:
            raise SettingsError(
                f"state must be of the same training: that in {self.state.parent} had another {', '.join(other)}"
            )
        with torch.no_grad():
            for weight, value in zip(self.weights, kept["weights"], strict=True):
                weight.copy_(value)
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step = int(kept["step"])


def learning_rate(done: float) -> float:
    """The share of the highest learning rate when a share of all steps is done."""
    return min(1.0, done / WARM_UP + 0.02) * (0.5 + 0.5 * math.cos(math.pi * done))


def add_adapter(unet: Any, rank: int) -> list[str]:
    """Give a UNet a LoRA that begins as nothing, on attention and convolutions; the paths of its layers."""
    from peft import LoraConfig

    unet.requires_grad_(False)
    layers = [path for path, module in unet.named_modules() if _is_taught(path, module)]
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers), adapter_name=ADAPTER)
    for weight in unet.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return layers


def _is_taught(path: str, module: nn.Module) -> bool:
    """Neither the time, nor what comes before and after all levels: readers of LoRA files name those differently."""
    return isinstance(module, (nn.Linear, nn.Conv2d)) and path.startswith(BLOCKS) and not path.endswith("time_emb_proj")


def _by_size(examples: Sequence[Example]) -> list[list[int]]:
    sizes: dict[Size, list[int]] = {}
    for number, example in enumerate(examples):
        sizes.setdefault(example.size, []).append(number)
    return list(sizes.values())


def _half(weight: Tensor) -> Tensor:
    return weight.detach().cpu().half().contiguous()


def sheet(pipeline: Any, examples: Sequence[Example], steps: int, guidance: float, seed: int) -> Any:
    """A picture of pictures: for one example of each size, what the pipeline paints of its caption."""
    from PIL import Image

    shown = list({example.size: example for example in examples}.values())
    pictures = [_painted(pipeline, example, steps, guidance, seed) for example in shown]
    together = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), "white")
    left = 0
    for picture in pictures:
        together.paste(picture, (left, 0))
        left += picture.width
    return together


def _painted(pipeline: Any, example: Example, steps: int, guidance: float, seed: int) -> Any:
    height, width = example.size
    assert height % LATENT_SCALE == width % LATENT_SCALE == 0
    return pipeline(
        example.caption,
        height=height,
        width=width,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator("cpu").manual_seed(seed),
    ).images[0]
