"""A CLIP tokenizer of single bytes and the configuration of a tiny text encoder, as a local folder."""

from __future__ import annotations

import json
from pathlib import Path

from shapes import TEXT_WIDTH

CONTEXT = 77


def byte_letters() -> list[str]:
    """The printable character that CLIP's tokenizer shows for each of the 256 bytes, in the tokenizer's order.

    Bytes that print stand for themselves, the others for the code points from 256 on (GPT-2's byte-level coding).
    """
    printing = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in printing]
    return [chr(byte) for byte in printing] + [chr(256 + index) for index in range(len(hidden))]


def write_text_encoder(folder: Path) -> Path:
    """Write vocabulary, merges and configurations that transformers loads as CLIPTokenizer and CLIPTextModel."""
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    start, end = len(tokens) - 2, len(tokens) - 1
    tokenizer = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    tokenizer |= {"pad_token": "<|endoftext|>", "model_max_length": CONTEXT, "tokenizer_class": "CLIPTokenizer"}
    model = {
        "model_type": "clip_text_model",
        "vocab_size": len(tokens),
        "hidden_size": TEXT_WIDTH,
        "projection_dim": TEXT_WIDTH,
    }
    model |= {
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "max_position_embeddings": CONTEXT,
    }
    model |= {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), "utf-8")
    (folder / "config.json").write_text(json.dumps(model), "utf-8")
    return folder
