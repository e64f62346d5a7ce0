"""Teaches a host that knows models by the shapes of their weights those of checkpoints with a `NAME.yaml`.

Nothing is taught to a host that builds a model from its `NAME.yaml` itself. All of it is in the memory of one process.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .described import described


def teach_shapes_of(folder: Path) -> None:
    """Make the host of this process know every checkpoint of a folder."""
    if importlib.util.find_spec("huggingface_guess"):
        from .to_huggingface_guess import teach
    elif importlib.util.find_spec("ldm_patched"):
        from .to_ldm_patched import teach
    else:
        return
    for checkpoint in described(folder):
        teach(checkpoint)
