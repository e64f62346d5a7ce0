"""ScaleCrafter's convolutions in the WebUI's UNet."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from lib_instantas.denoiser import ModelCall
from lib_instantas.hosts.a1111.guidance import scales_of
from lib_instantas.hosts.a1111.parts import HostPart, SamplingPass
from lib_instantas.methods import Redilated, make_method
from lib_instantas.redilation import Redilation


def dilated_convolutions(work: SamplingPass) -> HostPart | None:
    """The part for a run whose method is ScaleCrafter and whose canvas is larger than what the model knows."""
    method = make_method(work.request(work.seeds[0]))
    return DilatedConvolutions(Redilation(work.unet, method.dilation)) if isinstance(method, Redilated) else None


class DilatedConvolutions(HostPart):
    """Re-dilation around each call of the model.

    `scales` is how strongly each picture of the batch is guided. Where the host's guidance cannot take away the noise
    that dilated outer levels leave, they stay as trained, and `undamped` says why.
    """

    def __init__(self, redilation: Redilation) -> None:
        self.redilation = redilation
        self.scales: list[float] = []
        self.undamped = ""

    def before_evaluation(self, params: Any) -> None:
        """Find out how the predictions will be guided."""
        if self.redilation.dilation.damped:
            self.scales, self.undamped = scales_of(params)
            self.redilation.denoises = bool(self.undamped)

    def __call__(self, call: ModelCall) -> AbstractContextManager[Any]:
        """Convolutions reach further while the model answers this call."""
        return self.redilation(call)
