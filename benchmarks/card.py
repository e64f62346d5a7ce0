"""On a card, in fp16: how long 50 steps take and how much memory they need, beside the paper's table 2.

    python -m benchmarks.card --json             on a card, under 8 minutes
    python -m benchmarks.card --quick --device cpu   the same on tiny networks, to see that it runs

UNets of the shapes of SD 1.5, SD 2.0 and SDXL with random weights, with guidance, at the paper's five sizes (height x
width; SDXL's sides are twice as long, but for 4096x4096), decoded by the autoencoder that they share. Rows are direct,
InstantAS with its defaults and as in the paper, MultiDiffusion at the paper's overlap, and diffusers' own
StableDiffusionPanoramaPipeline, which knows SD 1.x and 2.x. For each model, size and row:

- `seconds`: of 50 steps and decoding. Evaluations from all of a run are timed, those with context at its end as well,
  and counted 50 times in all; where one has more than 400 tiles, a full batch of them is timed and counted as often as
  there are batches (`sampled`). `decoding` is the autoencoder's part, in tiles where it does not fit as a whole;
- `to_direct`: over direct's seconds; `paper`: the paper's seconds for SD 2.0 on an RTX 4090;
- `gigabytes`: the most that was allocated, weights included, and `paper_gigabytes`.

What does not fit into memory has no figures but `error`.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import arguments, progress, result
from benchmarks.tables import paper
from benchmarks.unet import UNETS, conditioning_of, tiny, unet
from benchmarks.vae_models import real_autoencoder
from benchmarks.whole_pictures import WholePicture, lap
from lib_instantas.denoiser import AUTO_BATCH_PIXELS
from lib_instantas.device import empty_cache, is_out_of_memory
from lib_instantas.presets import PRESETS
from lib_instantas.replacing import replaced
from lib_instantas.tiling import LATENT_SCALE, Size
from lib_instantas.vae import Options, TiledCoder, decoder_layers

STEPS = 50
ROWS: dict[str, dict[str, Any]] = {
    "direct": {"method": "direct"},
    "InstantAS": {},
    "InstantAS as in the paper": PRESETS["As in the paper"].values,
    "MultiDiffusion": {"method": "MultiDiffusion", "overlap": 0.875},
}
PANORAMA = "diffusers panorama"
IN_PAPER = {"InstantAS as in the paper": "InstantAS", PANORAMA: "MultiDiffusion"}
"""Rows that the paper has under another name."""

SAMPLED_FROM = 400
"""Tiles of an evaluation from which on only one batch of them is timed."""
AT_ONCE = 8
"""Views that the panorama pipeline sends through the UNet together."""


@dataclass(frozen=True)
class Model:
    """Networks to measure with. `known_to_panorama`: whether diffusers' panorama pipeline takes them."""

    unet: Any
    vae: Any
    known_to_panorama: bool

    @property
    def native(self) -> int:
        """Side of the square that it knows, latent pixels."""
        return int(self.unet.config.sample_size)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = next(self.unet.parameters()).device
        return device


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny networks, two sizes, four steps")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no card here: --quick --device cpu shows that the benchmark runs")
    if device.type == "cpu" and not options.quick:
        sys.exit("this takes days on a processor: --quick shows that it runs")
    figures: dict[str, Any] = {"device": name_of(device)}
    with torch.inference_mode():
        for name, model in models(device, options.quick):
            figures[name] = measure(model, sizes_for(name, options.quick), 4 if options.quick else STEPS)
            del model
            empty_cache(device)
    result(figures, options.json)


def name_of(device: torch.device) -> str:
    """The card's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def models(device: torch.device, quick: bool) -> Iterator[tuple[str, Model]]:
    """The models one after another: they are large."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    channels = ((8, 8, 8, 8),) if quick else ()
    for name, config in UNETS.items():
        made = unet(tiny(config) if quick else config, str(device), dtype)
        vae = real_autoencoder(*channels).to(device, dtype).eval().requires_grad_(False)
        yield name, Model(made, vae, name != "SDXL")


def sizes_for(name: str, quick: bool) -> dict[str, Size]:
    """The paper's sizes by their names there, as (height, width) in latent pixels of this model."""
    if quick:
        return {"512x1024": (8, 16), "1024x512": (16, 8)}
    sizes = {}
    for label in paper.INSTANTAS_2_SECONDS:
        scale = 2 if name == "SDXL" and label != "4096x4096" else 1
        height, width = (scale * int(side) // LATENT_SCALE for side in label.split("x"))
        sizes[label] = height, width
    return sizes


def measure(model: Model, sizes: dict[str, Size], steps: int) -> dict[str, dict[str, dict[str, Any]]]:
    """The figures of one model by size and row."""
    figures: dict[str, dict[str, dict[str, Any]]] = {}
    for label, canvas in sizes.items():
        rows: dict[str, Callable[[], dict[str, Any]]] = {
            name: partial(of_engine, model, settings, canvas, steps) for name, settings in ROWS.items()
        }
        if model.known_to_panorama and _views(canvas, model.native) < SAMPLED_FROM:
            rows[PANORAMA] = partial(of_panorama, model, canvas, steps)
        figures[label] = {}
        for name, row in rows.items():
            found = figures[label][name] = measured(row, model.device)
            _beside(found, figures[label]["direct"], label, name)
            progress(f"{label} {name}: {found}")
    return figures


def _views(canvas: Size, side: int) -> int:
    stride = side // 8
    return ((canvas[0] - side) // stride + 1) * ((canvas[1] - side) // stride + 1)


def _beside(found: dict[str, Any], direct: dict[str, Any], label: str, name: str) -> None:
    """Add what a row is compared with."""
    if "seconds" in found and "seconds" in direct:
        found["to_direct"] = found["seconds"] / direct["seconds"]
    theirs = IN_PAPER.get(name, name)
    found["paper"] = paper.INSTANTAS_2_SECONDS[label].get(theirs)
    found["paper_gigabytes"] = paper.INSTANTAS_2_GIGABYTES[label].get(theirs)


def measured(row: Callable[[], dict[str, Any]], device: torch.device) -> dict[str, Any]:
    """A row's figures with the memory that they took, or that it was not enough."""
    empty_cache(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        found = row()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return {"error": "out of memory"}
    if device.type == "cuda":
        found["gigabytes"] = torch.cuda.max_memory_allocated(device) / 1e9
    return found


def of_engine(model: Model, settings: dict[str, Any], canvas: Size, steps: int) -> dict[str, Any]:
    """Seconds of a picture by the engine, from some of its evaluations."""
    picture = WholePicture(model.unet, model.vae, settings, canvas, steps)
    tiles = len(picture.denoiser.method.plan(0).tiles)
    found: dict[str, Any] = {"tiles": tiles}
    if tiles > SAMPLED_FROM:
        found["sampled"] = True
        evaluations = steps * seconds_of_batches(picture, tiles)
    else:
        evaluations = sum(seconds_by_step(picture, steps))
    found["decoding"] = seconds_of_decoding(picture)
    return found | {"seconds": evaluations + found["decoding"]}


def seconds_by_step(picture: WholePicture, steps: int) -> list[float]:
    """Of each step: timed at the beginning, in the middle and at the end, and taken for those of as many pixels."""
    device = picture.latents.device
    plan = picture.denoiser.method.plan
    computed = [plan(step).computed for step in range(steps)]
    timed: dict[int, list[float]] = {}
    for step in [0, 1, *range(steps // 2, steps // 2 + 3), steps - 2, steps - 1]:
        if step >= steps:
            continue
        pixels = computed[step]
        if pixels not in timed:
            picture.evaluate(step)  # of new shapes: plans of convolutions are made
        timed.setdefault(pixels, []).append(lap(partial(picture.evaluate, step), device).wall)
    medians = {pixels: statistics.median(values) for pixels, values in timed.items()}
    return [medians[min(medians, key=lambda known: abs(known - pixels))] for pixels in computed]


def seconds_of_batches(picture: WholePicture, tiles: int) -> float:
    """Of one evaluation of many equal tiles, from the time of one batch."""
    side = int(picture.unet.config.sample_size)
    batch = max(1, AUTO_BATCH_PIXELS // (2 * side**2))
    x = picture.latents[..., :side, :side].repeat(2 * batch, 1, 1, 1)
    conditioning = conditioning_of(picture.unet, rows=2 * batch)
    run = partial(picture.unet, x, picture.times[0], return_dict=False, **conditioning)
    run()
    return tiles / batch * statistics.median(lap(run, x.device).wall for _ in range(3))


def seconds_of_decoding(picture: WholePicture) -> float:
    """As a host does it: as a whole where it fits, else in tiles."""
    with _fitting(picture.vae):
        return lap(picture.decode, picture.latents.device).wall


@contextmanager
def _fitting(vae: Any) -> Iterator[None]:
    with replaced(vae.decoder, "forward", TiledCoder(decoder_layers(vae.decoder), Options(), vae.decoder.forward)):
        yield


def of_panorama(model: Model, canvas: Size, steps: int) -> dict[str, Any]:
    """Seconds of a picture by diffusers' own MultiDiffusion: two more steps say what one takes."""
    from diffusers import DDIMScheduler, StableDiffusionPanoramaPipeline

    kind: Any = StableDiffusionPanoramaPipeline
    peer = kind(model.vae, None, None, model.unet, DDIMScheduler(), None, None, requires_safety_checker=False)
    peer.set_progress_bar_config(disable=True)
    peer.get_views = partial(peer.get_views, window_size=model.native, stride=model.native // 8)
    tokens = conditioning_of(model.unet, rows=2)["encoder_hidden_states"]

    def paint(count: int) -> Tensor:
        latents: Tensor = peer(
            prompt_embeds=tokens[:1], negative_prompt_embeds=tokens[1:], height=canvas[0] * LATENT_SCALE,
            width=canvas[1] * LATENT_SCALE, num_inference_steps=count, view_batch_size=AT_ONCE, output_type="latent",
        ).images  # fmt: skip
        return latents

    paint(1)
    few, more = (lap(partial(paint, count), model.device).wall for count in (1, 3))
    picture = WholePicture(model.unet, model.vae, {"method": "direct"}, canvas, steps)
    decoding = seconds_of_decoding(picture)
    return {"tiles": _views(canvas, model.native), "decoding": decoding, "seconds": steps * (more - few) / 2 + decoding}


if __name__ == "__main__":
    main()
