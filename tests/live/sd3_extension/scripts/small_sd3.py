"""Test-only extension: SD 3 of the host's own classes, small enough for a test, as a checkpoint `sd3.safetensors`.

The host builds SD 3 with text encoders and an autoencoder of one size, and fetches the tokenizers from the network.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from modules import shared
from modules.models.sd3 import other_impls, sd3_cond, sd3_impls
from modules.models.sd3.mmdit import MMDiT, get_2d_sincos_pos_embed
from safetensors.torch import save_file
from transformers import CLIPTokenizer

MODELS = Path(shared.cmd_opts.ckpt_dir)
WIDTH, WORDS, CHANNELS = 32, 4096, 16
DEPTH = 2
HIDDEN = 64 * DEPTH
TABLE = 96
"""Positions a side, of 2x2 latent pixels each: pictures of more than 1536 pixels a side are beyond it."""


class LocalTokenizer:
    """In place of those that would be fetched."""

    @staticmethod
    def from_pretrained(_: str) -> Any:
        return CLIPTokenizer.from_pretrained(MODELS / "text")


def make_small() -> None:
    """Let the host build small text encoders and a small autoencoder."""
    text = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 3}
    for config in (sd3_cond.CLIPL_CONFIG, sd3_cond.CLIPG_CONFIG):
        config.update(text)
    for module in (other_impls, sd3_cond):
        module.CLIPTokenizer = module.T5TokenizerFast = LocalTokenizer
    sd3_impls.VAEEncoder = partial(sd3_impls.VAEEncoder, ch=32)
    sd3_impls.VAEDecoder = partial(sd3_impls.VAEDecoder, ch=32)


def transformer() -> torch.nn.Module:
    """With the table of positions that checkpoints of SD 3 carry."""
    words = {"target": "torch.nn.Linear", "params": {"in_features": WORDS, "out_features": HIDDEN}}
    network = MMDiT(
        None, 2, CHANNELS, DEPTH, pos_embed_max_size=TABLE, num_patches=TABLE**2, adm_in_channels=2 * WIDTH,
        context_embedder_config=words, device="cpu", dtype=torch.float32,
    )  # fmt: skip
    network.pos_embed.copy_(torch.from_numpy(get_2d_sincos_pos_embed(HIDDEN, TABLE)))
    return network


def autoencoder() -> torch.nn.Module:
    """One that is certain: its encoding draws from the global random numbers otherwise."""
    network = sd3_impls.SDVAE(device="cpu", dtype=torch.float32)
    network.encoder.conv_out.weight[CHANNELS:], network.encoder.conv_out.bias[CHANNELS:] = 0, -30
    return network


def write_checkpoint(file: Path) -> None:
    """Random weights, always the same."""
    random = torch.get_rng_state()
    torch.manual_seed(0)
    with torch.no_grad():
        parts = {"model.diffusion_model": transformer(), "first_stage_model": autoencoder()}
        parts["text_encoders"] = sd3_cond.SD3Cond()
        weights = {f"{part}.{name}": value for part in parts for name, value in parts[part].state_dict().items()}
    torch.set_rng_state(random)
    save_file({name: value.contiguous().clone() for name, value in weights.items()}, file)


make_small()
write_checkpoint(MODELS / "sd3.safetensors")
