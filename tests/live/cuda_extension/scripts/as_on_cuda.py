"""Test-only extension: InstantAS is answered as on a CUDA machine, while the host goes on computing on its CPU.

`devices.device` is "cuda" without an index there, as the host sets it, and the driver says how much memory is free.
What lies between the two is torch's own, with what it refuses.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import torch
from fastapi import Body, FastAPI
from modules import devices, script_callbacks

TOTAL = 24 * 2**30


class Driver:
    """What the CUDA runtime says of the only card, and of which card it was asked."""

    def __init__(self) -> None:
        self.free = TOTAL
        self.asked: list[int] = []

    def cudaMemGetInfo(self, index: int) -> tuple[int, int]:  # noqa: N802 (the runtime's own name)
        self.asked.append(index)
        return self.free, TOTAL


driver = Driver()


class DevicesOnCUDA(ModuleType):
    """The host's `devices`, whose `device` is another one for InstantAS than for the host itself."""

    @property
    def device(self) -> torch.device:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        return torch.device("cuda") if caller.startswith("lib_instantas.") else vars(self)["device"]

    @device.setter
    def device(self, value: torch.device) -> None:
        vars(self)["device"] = value


def set_free(free: int = Body(embed=True)) -> None:
    """Say from now on that so many bytes are free."""
    driver.free = free
    driver.asked.clear()


def asked() -> list[int]:
    """Of which card the driver was asked since `set_free`, question by question."""
    return driver.asked


def add_routes(_: Any, app: FastAPI) -> None:
    app.add_api_route("/test/free", set_free, methods=["POST"])
    app.add_api_route("/test/free", asked, methods=["GET"])


devices.__class__ = DevicesOnCUDA
torch.cuda.cudart = lambda: driver
torch.cuda.current_device = lambda: 0
script_callbacks.on_app_started(add_routes)
