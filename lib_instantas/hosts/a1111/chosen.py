"""The model of the next generation. Some hosts (Forge) load what is chosen only when a picture is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modules import sd_models, shared

from lib_instantas.hosts.a1111.native import native_side, native_side_of_file, network_of
from lib_instantas.redilation import levels_of


def native_side_of_choice(checkpoint: str | None = None) -> int | None:
    """The side that the next generation's model knows, in latent pixels; None where only loading it will tell.

    `checkpoint` is named by a request in place of the one that is chosen in the settings.
    """
    model = sd_models.model_data.sd_model
    loaded = getattr(model, "sd_checkpoint_info", None)
    info = _info(checkpoint) or _info(getattr(shared.opts, "sd_model_checkpoint", None)) or loaded
    if network_of(model) is not None and (info is None or _file(info) == _file(loaded)):
        return native_side(model)
    return None if info is None else native_side_of_file(Path(info.filename))


def levels_of_choice() -> int | None:
    """How many resolutions the next generation's UNet works at; None where only loading it will tell."""
    model = sd_models.model_data.sd_model
    info = _info(getattr(shared.opts, "sd_model_checkpoint", None))
    is_chosen = info is None or _file(info) == _file(getattr(model, "sd_checkpoint_info", None))
    return levels_of(network_of(model)) if is_chosen else None


def _info(name: str | None) -> Any:
    return sd_models.get_closet_checkpoint_match(name) if name else None


def _file(info: Any) -> Any:
    return getattr(info, "filename", None)
