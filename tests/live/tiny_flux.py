"""A Flux of the host's own class, as small as can be, asked about tiles. Runs in the Python of the host (Forge).

    python tiny_flux.py WEBUI_DIR

prints one JSON object: how far tiles are from what the model says of each alone, for one tile at a time and for all at
once, and what the extension takes the model for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

NATIVE, CANVAS = 16, (24, 40)
CHANNELS, WORDS, POOLED = 16, 24, 12


def tiny_flux() -> Any:
    """As the host has it: the network in a model that answers with clean latents."""
    from backend.modules.k_model import KModel
    from backend.modules.k_prediction import PredictionFlux
    from backend.nn.flux import IntegratedFluxTransformer2DModel

    torch.manual_seed(0)
    shape = {"in_channels": CHANNELS, "vec_in_dim": POOLED, "context_in_dim": WORDS, "hidden_size": 32}
    shape |= {"mlp_ratio": 2.0, "num_heads": 2, "depth": 1, "depth_single_blocks": 1, "axes_dim": [4, 6, 6]}
    network = IntegratedFluxTransformer2DModel(**shape, theta=10_000, qkv_bias=True, guidance_embed=True)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    network.storage_dtype = network.computation_dtype = torch.float32
    return KModel(network, diffusers_scheduler=None, k_predictor=PredictionFlux())


def conditioning(rows: int) -> dict[str, Tensor]:
    """What the host hands over with each question, different in each row."""
    drawn = torch.Generator().manual_seed(1)
    words = torch.randn(rows, 7, WORDS, generator=drawn)
    return {
        "c_crossattn": words,
        "y": torch.randn(rows, POOLED, generator=drawn),
        "guidance": torch.arange(rows) + 3.5,
    }


def furthest(model: Any, tile_batch: int) -> float:
    """The largest difference between a tile of the whole answer and the answer to that tile alone."""
    from lib_instantas.denoiser import TiledDenoiser
    from lib_instantas.methods import Request, make_method
    from lib_instantas.settings import parse_settings

    settings = parse_settings({"enabled": True, "fit": "native", "schedule": "cyclic", "gamma": 0.0})
    method = make_method(Request(CANVAS, NATIVE, settings))
    x, sigma, given = torch.randn(2, CHANNELS, *CANVAS), torch.full((2,), 0.7), conditioning(2)
    answer = TiledDenoiser(model.apply_model, method, tile_batch=tile_batch)(x, sigma, **given)
    differences = []
    for top, height in ((0, 16), (16, 8)):  # the last tiles reach back, and keep what the others have not
        for left, width in ((0, 16), (16, 16), (32, 8)):
            y0, x0 = min(top, CANVAS[0] - NATIVE), min(left, CANVAS[1] - NATIVE)
            alone = model.apply_model(x[..., y0 : y0 + NATIVE, x0 : x0 + NATIVE], sigma, **given)
            kept = alone[..., top - y0 : top - y0 + height, left - x0 : left - x0 + width]
            differences.append((answer[..., top : top + height, left : left + width] - kept).abs().max().item())
    return max(differences)


def main(webui: Path) -> None:
    """Print what was found."""
    sys.path[:0] = [str(webui), str(webui / "packages_3rdparty"), str(Path(__file__).resolve().parents[2])]
    sys.argv = [sys.argv[0], "--always-cpu"]  # the host looks for a device while it is imported
    with torch.inference_mode():
        model = tiny_flux()
        from lib_instantas.attention_layers import has_cross_attention
        from lib_instantas.hosts.a1111.native import is_unet, native_side

        whole = SimpleNamespace(forge_objects=SimpleNamespace(unet=SimpleNamespace(model=model)))
        found = {"one by one": furthest(model, 1), "at once": furthest(model, 6), "side": native_side(whole)}
        network = model.diffusion_model
        found |= {"is a UNet": is_unet(network), "reads prompts apart": has_cross_attention(network)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
