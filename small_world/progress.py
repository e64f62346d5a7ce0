"""A training measured in minutes: learning rate, averaged weights, log lines and a file to go on from."""

import copy
import ctypes
import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

LOGGER = logging.getLogger(__name__)


class Training:
    """Trains modules for a number of minutes; one that was interrupted goes on where it was saved.

    The learning rate rises over the first 5 % of the time and then falls to nothing along a cosine. Averaged
    weights (EMA) lie in `averaged`. Several workers may train one module in shared memory without waiting for
    each other (Niu et al. 2011, "Hogwild!"); the first of them, the leader, averages, saves and logs.
    """

    def __init__(
        self, name: str, module: nn.Module, folder: Path, minutes: float, rate: float, worker: int = 0
    ) -> None:
        self.name, self.module, self.rate, self.leader = name, module, rate, worker == 0
        self.path, self.budget = folder / f"{name}.pt", 60 * minutes
        self.averaged = copy.deepcopy(module).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.step, self.spent, self._loss = 0, 0.0, math.nan
        self._resume()
        self._clock = self._saved = self._logged = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether time is left."""
        return self.spent < self.budget

    def update(self, loss: torch.Tensor) -> None:
        """Take one optimiser step down the gradient of the loss, and log and save now and then."""
        done = min(1.0, self.spent / self.budget)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, done / 0.05 + 0.02) * (0.5 + 0.5 * math.cos(math.pi * done))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        if self.leader:
            self._average(min(0.998, self.step / (self.step + 20)))
        self._tick(float(loss.detach()))

    def save(self) -> None:
        """Write everything that is needed to go on."""
        state = {"module": self.module.state_dict(), "averaged": self.averaged.state_dict(), "step": self.step,
                 "optimizer": self.optimizer.state_dict(), "spent": self.spent}  # fmt: skip
        torch.save(state, self.path.with_suffix(".part"))
        self.path.with_suffix(".part").replace(self.path)

    def _average(self, keep: float) -> None:
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.module.parameters()), 1 - keep)

    def _tick(self, loss: float) -> None:
        now = time.monotonic()
        self.spent += now - self._clock
        self._clock = now
        if not self.leader:
            return
        self._loss = loss if math.isnan(self._loss) else 0.97 * self._loss + 0.03 * loss
        if now - self._logged > 15:
            LOGGER.info("%s: step %d, %.1f of %.1f min, loss %.4f", self.name, self.step, self.spent / 60,
                        self.budget / 60, self._loss)  # fmt: skip
            self._logged = now
        if now - self._saved > 120 or not self.running:
            self.save()
            self._saved = self._clock = time.monotonic()

    def _resume(self) -> None:
        if not self.path.exists():
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        self.module.load_state_dict(state["module"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.spent = state["step"], state["spent"]
        LOGGER.info("%s: going on from step %d, %.1f min spent", self.name, self.step, self.spent / 60)


def keep_memory() -> None:
    """Tell glibc to keep freed memory: mapping and zeroing every large tensor anew halves the speed on a CPU."""
    if sys.platform == "linux":
        trim_threshold, mmap_max = -1, -4
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def on_workers(work: Callable[..., None], workers: int, *args: Any) -> None:
    """Call `work(worker, *args)` once, or in single-threaded processes that share the modules among the args."""
    if workers == 1:
        work(0, *args)
        return
    for arg in args:
        if isinstance(arg, nn.Module):
            arg.share_memory()
    torch.multiprocessing.spawn(_one_thread, (work, *args), nprocs=workers)


def _one_thread(worker: int, work: Callable[..., None], *args: Any) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(1)
    torch.manual_seed(worker)
    keep_memory()
    work(worker, *args)


def channels_last(module: nn.Module, device: str) -> None:
    """Move a module to a device and lay its convolutions out as CPUs and GPUs compute them fastest."""
    module.to(device)
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
