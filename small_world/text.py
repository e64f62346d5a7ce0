"""Tokenizer and text encoder: CLIP's own formats, at the size that Small World's few words need.

Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision". Every word of a
caption is one token; other words fall apart into letters, as with any byte-pair encoding.
"""

import json
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from small_world.scene import vocabulary
from small_world.unet import CONTEXT

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77


def _byte_letters() -> list[str]:
    """Return the 256 letters by which CLIP's vocabulary writes the 256 bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def _pieces(word: str, merges: dict[tuple[str, str], int]) -> list[str]:
    """Return what byte-pair encoding makes of a word: always the earliest merge that fits, until none does."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    while True:
        pairs = [pair for pair in pairwise(pieces) if pair in merges]
        if not pairs:
            return pieces
        best = min(pairs, key=merges.__getitem__)
        index = list(pairwise(pieces)).index(best)
        pieces[index : index + 2] = ["".join(pieces[index : index + 2])]


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Return merges that make each word one token: what earlier merges leave of it is joined by new, later ones."""
    merges: dict[tuple[str, str], int] = {}
    for word in words:
        left, *rest = _pieces(word, merges)
        for right in rest:
            merges.setdefault((left, right), len(merges))
            left += right
    return list(merges)


def write_tokenizer(folder: Path) -> None:
    """Write vocab.json, merges.txt and the tokenizer's config to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = _byte_letters()
    merges = _merges(vocabulary())
    joined = ("".join(pair) for pair in merges)
    tokens = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters), *joined, START, END])
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "bos_token": START, "eos_token": END,
              "unk_token": END, "pad_token": END, "do_lower_case": True, "errors": "replace"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    (folder / "special_tokens_map.json").write_text(json.dumps({name: config[name] for name in names}, indent=2))


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Return token numbers [captions, 77]."""
    options = {"padding": "max_length", "max_length": LENGTH, "truncation": True, "return_tensors": "pt"}
    ids: Tensor = tokenizer(captions, **options).input_ids
    return ids


def text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    """Return the size of the text encoder."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=CONTEXT, intermediate_size=4 * CONTEXT, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=LENGTH, projection_dim=CONTEXT,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return an untrained text encoder.

    The WebUI's prompt weighting divides by the mean of the features, so that mean must not be near 0: the last
    normalisation starts with a bias of 0.5, which training leaves about where it is.
    """
    config = text_config(tokenizer)
    config._attn_implementation = "eager"
    encoder = CLIPTextModel(config)
    # CLIP's initial embeddings (0.02) learn too slowly for a short training.
    torch.nn.init.normal_(encoder.text_model.embeddings.token_embedding.weight, std=0.5)
    torch.nn.init.constant_(encoder.text_model.final_layer_norm.bias, 0.5)
    return encoder
