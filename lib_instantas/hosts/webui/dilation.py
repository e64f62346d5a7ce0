"""ScaleCrafter's convolutions in the WebUI's UNet."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from modules import shared

from lib_instantas.denoiser import ModelCall
from lib_instantas.hosts.webui.parts import Part, Run
from lib_instantas.methods import Redilated, Request, make_method
from lib_instantas.redilation import Redilation
from lib_instantas.settings import SettingsError

try:
    from modules import sd_unet
except ImportError:
    sd_unet = None  # Some hosts know no other UNets than the model's own.


def dilated_convolutions(run: Run) -> Part | None:
    """The part for a run whose method is ScaleCrafter and whose canvas is larger than what the model knows.

    Raises SettingsError where the host runs the UNet outside PyTorch, or it is of another kind.
    """
    steps = run.denoiser.total_steps or 1
    method = make_method(Request(run.canvas, run.native, run.settings, steps=steps))
    if not isinstance(method, Redilated):
        return None
    if getattr(sd_unet, "current_unet", None) is not None:
        raise SettingsError("method must not be ScaleCrafter while the setting SD Unet replaces the model's own UNet")
    return DilatedConvolutions(Redilation(shared.sd_model.model.diffusion_model, method.dilation))


class DilatedConvolutions(Part):
    """Re-dilation around each call of the model."""

    def __init__(self, redilation: Redilation) -> None:
        self.redilation = redilation

    def around(self, call: ModelCall) -> AbstractContextManager[Any]:
        """Convolutions reach further while the model answers this call."""
        return self.redilation(call)
