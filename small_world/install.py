"""Copies the shipped model to a WebUI, with a yaml that names the tokenizer folder where it then lies.

The WebUI reads that name relative to the folder it was started in, so the yaml must hold an absolute path.
"""

import shutil
from pathlib import Path

from small_world import CHECKPOINT
from small_world.checkpoint import sizes_yaml


def install(webui: Path) -> Path:
    """Copy checkpoint, yaml and tokenizer folder to the WebUI's models; return the checkpoint's new path.

    Raises FileNotFoundError if the folder is no WebUI.
    """
    models = webui.resolve() / "models" / "Stable-diffusion"
    if not models.is_dir():
        raise FileNotFoundError(
            f"Small World: no folder models/Stable-diffusion in {webui}; name the WebUI's own folder"
        )
    target = models / CHECKPOINT.name
    text = models / CHECKPOINT.stem
    shutil.copyfile(CHECKPOINT, target)
    shutil.copytree(CHECKPOINT.with_suffix(""), text, dirs_exist_ok=True)
    target.with_suffix(".yaml").write_text(sizes_yaml(text.as_posix()))
    return target
