"""A tiny OpenCLIP text tower for the SD 2- and SDXL-shaped checkpoints, known by name to whoever imports this."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

NAME = "instantas-tiny"
WIDTH = 32


def register_architecture() -> None:
    """Make `NAME` an architecture of open_clip in this process."""
    import open_clip

    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 3}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{NAME}.json"
        path.write_text(json.dumps({"embed_dim": WIDTH, "vision_cfg": vision, "text_cfg": text}), "utf-8")
        open_clip.add_model_config(path)
