"""Sampler families: what differs between hosts, as six answers.

How does a pass begin, how is the model asked, what does it predict, when does the next evaluation begin, where is the
UNet, where is the autoencoder. Each module here answers for one family, as an object named FAMILY; the first that lacks
nothing on this host is used. Features are looked for, never names or versions. A new host is one more module.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Protocol

from modules import script_callbacks, sd_samplers_common

from lib_instantas.texts import messages

if TYPE_CHECKING:
    from torch import Tensor

    from lib_instantas.hosts.a1111.sampling import TiledSampling


class SamplerFamily(Protocol):
    """One family of hosts. On all of them the callback `on_cfg_denoiser` says that the next evaluation begins."""

    def missing(self) -> Iterator[str]:
        """What this host lacks for the family, in words for the person who reads them in the panel."""

    def before_pass(self, p: Any, noise: Any) -> None:
        """A pass of a generation is about to begin with this noise; only on hosts that announce it."""

    def ask_through(self, sampling: TiledSampling, params: Any) -> None:
        """Have the model asked through `sampling` in the evaluation that begins with these CFGDenoiserParams."""

    def kept_by_timestep(self, params: Any) -> Tensor | None:
        """The share of variance that is not noise, by timestep, where the model is asked for noise; else None."""

    def fail(self, params: Any, error: Exception) -> None:
        """Have the evaluation that begins raise this error when the model is asked."""

    def let_go(self) -> None:
        """Take away whatever `ask_through` put on objects that outlive the sampler."""

    def control_models(self) -> list[Any]:
        """Networks beside the UNet, torch modules, that are asked with it and read the same prompts."""

    @property
    def unet(self) -> Any:
        """The loaded UNet, a torch module."""

    @property
    def autoencoder(self) -> Any:
        """The loaded autoencoder, a torch module with `encoder` and `decoder`; None before a model is loaded."""


@cache
def families() -> tuple[SamplerFamily, ...]:
    """All families, in the order of their modules' names."""
    return tuple(import_module(f"{__name__}.{module.name}").FAMILY for module in iter_modules(__path__))


@cache
def missing_features() -> tuple[str, ...]:
    """What this host lacks, in words; empty where everything is there for one of the families."""
    common = tuple(_missing_everywhere())
    of_families = [tuple(one.missing()) for one in families()]
    return common or (() if not all(of_families) else (", or ".join("; ".join(words) for words in of_families),))


@cache
def family() -> SamplerFamily:
    """The family of this host. Raises StopIteration where there is none: ask `refusal` first."""
    return next(one for one in families() if not any(True for _ in one.missing()))


def refusal() -> str | None:
    """Why the extension cannot work on this host, with the features by their names in the code; or None."""
    missing = missing_features()
    return messages.NOT_ON_THIS_HOST(missing="; ".join(missing)) if missing else None


def _missing_everywhere() -> Iterator[str]:
    if not hasattr(script_callbacks, "on_cfg_denoiser"):
        yield "a callback before each evaluation of the model (on_cfg_denoiser)"
    elif "denoiser" not in inspect.signature(script_callbacks.CFGDenoiserParams).parameters:
        yield "the denoiser in that callback (CFGDenoiserParams.denoiser)"
    if not hasattr(sd_samplers_common, "InterruptedException"):
        yield "a way to interrupt a sampler (InterruptedException)"
