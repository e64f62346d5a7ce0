"""Small diffusers pipelines with random weights and a tokenizer that reads letters, and what their pictures hold."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from metadata import done
from tiny_unets import CONTEXT_CHANNELS, diffusers_unet
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from lib_instantas.hosts.standalone import Result

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIDE = 8


def tokenizer(folder: Path) -> CLIPTokenizer:
    entries = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({entry: index for index, entry in enumerate(entries)}))
    merges.write_text("#version: 0.2\n")
    return CLIPTokenizer(str(vocabulary), str(merges), model_max_length=20)


def text_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=2 * len(LETTERS) + 2,
        hidden_size=CONTEXT_CHANNELS,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=20,
        projection_dim=CONTEXT_CHANNELS,
        bos_token_id=2 * len(LETTERS),
        eos_token_id=2 * len(LETTERS) + 1,
    )


def vae() -> AutoencoderKL:
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    return AutoencoderKL(block_out_channels=(4, 4, 4, 4), norm_num_groups=2, **kinds)


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)


def sd_pipeline(folder: Path) -> StableDiffusionPipeline:
    torch.manual_seed(0)
    pipeline = StableDiffusionPipeline(
        vae(), CLIPTextModel(text_config()), tokenizer(folder), diffusers_unet(), scheduler(), None, None, None, False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sdxl_pipeline(folder: Path) -> StableDiffusionXLPipeline:
    torch.manual_seed(0)
    pipeline = StableDiffusionXLPipeline(
        vae(), None, CLIPTextModelWithProjection(text_config()), None, tokenizer(folder), _sdxl_unet(), scheduler()
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _sdxl_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=CONTEXT_CHANNELS,
        transformer_layers_per_block=(1, 2),
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + CONTEXT_CHANNELS,
    )


PIPELINES = {"sd": sd_pipeline, "sdxl": sdxl_pipeline}


def values(result: Result) -> torch.Tensor:
    width, height = result.image.size
    return torch.frombuffer(bytearray(result.image.tobytes()), dtype=torch.uint8).reshape(height, width, 3).int()


def said(result: Result) -> str:
    """What its metadata say was done."""
    return done(result.infotext)
