"""The autoencoder in tiles for one generation: hires fix, img2img and the finished picture.

Inside the host's `init` and `sample` the loaded autoencoder's encoder and decoder answer in tiles. The host decodes the
finished latents after `sample`, out of reach; so they are decoded before, and handed on as the host does after hires
fix.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from modules import devices, sd_vae_approx, shared
from modules.processing import decode_latent_batch
from torch import Tensor
from tqdm import tqdm

from lib_instantas.device import free_bytes
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.a1111.report import Report
from lib_instantas.hosts.a1111.samplers import family
from lib_instantas.replacing import replaced
from lib_instantas.settings import Settings
from lib_instantas.texts import messages
from lib_instantas.tiling import LATENT_SCALE
from lib_instantas.vae import (
    Interrupted,
    Layer,
    Options,
    TiledCoder,
    UnsupportedAutoencoder,
    decoder_layers,
    encoder_layers,
    output_sizes,
)

logger = logging.getLogger(__name__)

NAMES = {"decoder": "VAE", "encoder": "VAE encoder"}
"""In the metadata."""


class TiledVAE:
    """The encoder and decoder of the loaded model, in tiles where needed, while `hooked` lasts."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self.settings = settings
        self.report = report
        self.stopped = False
        self._stack: ExitStack | None = None
        self._hooked: dict[int, Any] = {}

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Inside, the model that is loaded now has its coders replaced; a hires pass may have loaded another one."""
        if not self.settings.may_tile_vae:
            yield
            return
        if self._stack is not None:
            self._hook_loaded_model()
            yield
            return
        with ExitStack() as self._stack:
            try:
                self._hook_loaded_model()
                yield
            finally:
                self._stack.close()
                self._stack = None
                self._hooked.clear()

    def decoded(self, samples: Any) -> Any:
        """The pictures of finished latents; what was given where these are pictures, or not for this autoencoder."""
        if getattr(samples, "already_decoded", False) or shared.opts.sd_vae_decode_method != "Full":
            return samples
        self._hook_loaded_model()
        if not _is_hooked(family().autoencoder):
            return samples
        self.stopped = False
        pictures = decode_latent_batch(shared.sd_model, samples, target_device=devices.cpu, check_for_nans=True)
        if self.stopped:
            pictures[:] = list(_rough_pictures(samples))
            self.note("decoder", "decoding interrupted, a rough picture")
        return pictures

    def note(self, coder: str, text: str) -> None:
        """Say in the picture's metadata what the encoder or decoder did."""
        self.report.note(NAMES[coder], text)

    def _hook_loaded_model(self) -> None:
        model = family().autoencoder
        if model is None or self._stack is None or id(model) in self._hooked:
            return
        self._hooked[id(model)] = model
        options = Options(tile=self.settings.vae_tile, mode=self.settings.vae_mode, wrap=self.settings.wraps_per_axis)
        try:
            layers = {"decoder": decoder_layers(model.decoder), "encoder": encoder_layers(model.encoder)}
        except (UnsupportedAutoencoder, AttributeError) as reason:
            if self.settings.must_tile_vae:
                raise SettingsError(messages.OTHER_VAE(reason=reason)) from None
            logger.info("InstantAS: the VAE stays as it is: %s", reason)
            return
        for name in layers:
            module = getattr(model, name)
            coder = _Coder(self, name, layers[name], options, None if self.settings.must_tile_vae else module.forward)
            self._stack.enter_context(replaced(module, "forward", coder))


class _Coder(TiledCoder):
    """Stands in for the `forward` of an encoder or decoder: as it was where the picture fits, else in tiles."""

    def __init__(self, vae: TiledVAE, name: str, layers: Sequence[Layer], options: Options, untiled: Any) -> None:
        super().__init__(layers, options, untiled)
        self.vae = vae
        self.name = name

    def in_tiles(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """With a progress bar, until somebody interrupts."""
        if self.vae.stopped:
            return self._nothing(x)
        with _progress_bar(f"VAE {self.name}") as progress:
            asked_before = _asked_to_stop()
            self.options = replace(self.options, progress=progress, interrupted=lambda: _asked_to_stop() > asked_before)
            try:
                result = super().in_tiles(x, *args, **kwargs)
            except Interrupted:
                self.vae.stopped = True
                return self._nothing(x)
        recovery = str(self.recovery)
        self.vae.note(self.name, f"in tiles ({self.mode})" + (f", {recovery}" if recovery else ""))
        return result

    def free_bytes(self, x: Tensor) -> int | None:
        """Of the host's device."""
        return free_bytes(devices.device)

    def _nothing(self, x: Tensor) -> Tensor:
        """A map of the right size for a host that is about to stop anyway."""
        size = output_sizes(self.layers, (x.shape[-2], x.shape[-1]))[-1]
        return x.new_zeros((x.shape[0], self.layers[-1].channels, *size))


def _is_hooked(model: Any) -> bool:
    return isinstance(vars(getattr(model, "decoder", None) or object).get("forward"), _Coder)


@contextmanager
def _progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """One bar on the console and a text on the page, both ending at 100 %."""
    text_before = shared.state.textinfo
    with tqdm(total=100, desc=name, unit="%", disable=shared.cmd_opts.disable_console_progressbars) as bar:

        def show(done: int, total: int) -> None:
            percent = 100 * done // total
            bar.update(percent - bar.n)
            shared.state.textinfo = f"{name}: {percent}%"

        try:
            yield show
        finally:
            shared.state.textinfo = text_before


def _asked_to_stop() -> int:
    return int(shared.state.interrupted) + int(shared.state.skipped)


def _rough_pictures(samples: Tensor) -> Iterator[Tensor]:
    """What the host's cheapest preview shows, at the size of the picture, in -1..1."""
    for sample in samples:
        small = sd_vae_approx.cheap_approximation(sample.float().cpu()).clamp(-1, 1)
        yield small.repeat_interleave(LATENT_SCALE, -1).repeat_interleave(LATENT_SCALE, -2)
