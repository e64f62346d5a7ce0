"""Where tiles meet the host's samplers: one callback before each evaluation of the model.

The host's CFGDenoiser asks a wrapper around the model (`inner_model`), made anew for every sampler and again when a
refiner takes over. The wrapper's `forward` is replaced on that one object, and dies with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from modules import shared
from modules.sd_samplers_common import InterruptedException
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.hosts.webui.native import native_side
from lib_instantas.hosts.webui.parts import Run, parts_for
from lib_instantas.hosts.webui.pictures import PictureByPicture, have_equal_plans
from lib_instantas.hosts.webui.report import FIRST_PASS, HIRES_PASS, PassReport, report_of
from lib_instantas.hosts.webui.stopping import raiser
from lib_instantas.methods import Direct, Method, Redilated, Request, make_method
from lib_instantas.settings import Settings

logger = logging.getLogger(__name__)

SettingsOf = Callable[[Any], "Settings | None"]
"""The settings of a generation, from its processing object; None where the extension has no part in it."""


class TiledModel:
    """Stands in for the `forward` of one model wrapper: same signature, any canvas."""

    def __init__(self, run: Run, forward: Callable[..., Tensor], evaluation: int) -> None:
        self.run = run
        self.original = forward
        methods = [method_for(run, seed) for seed in run.seeds]
        self.method = methods[0]
        self.parts = parts_for(run)
        self.report = _begin_report(run, self.method, evaluation)
        self.denoisers = [self._denoiser(method, evaluation) for method in _without_repetition(methods)]
        self.pictures = PictureByPicture(self.denoisers) if len(self.denoisers) > 1 else None

    def _denoiser(self, method: Method, evaluation: int) -> TiledDenoiser:
        around = [part.around for part in self.parts]
        batch = self.run.settings.tile_batch
        denoiser = TiledDenoiser(self.original, method, tile_batch=batch, around=around, before_batch=stop_if_asked)
        denoiser.evaluation = evaluation
        return denoiser

    def next_evaluation(self) -> None:
        """The sampler has gone on to its next evaluation."""
        for denoiser in self.denoisers:
            denoiser.next_evaluation()

    def __call__(self, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        """The prediction for the whole canvas."""
        ask = self.pictures or self.denoisers[0]
        return ask(x, sigma, **conditioning)

    def before_evaluation(self, params: Any) -> None:
        """Count the tiles of the evaluation that begins, and let the parts prepare for it."""
        if self.pictures is not None:
            self.pictures.before_evaluation(params)
        if self.report is not None:
            self.report.count(self.method.plan(self.denoisers[0].evaluation))
        for part in self.parts:
            part.before_evaluation(params)


def method_for(run: Run, seed: int) -> Method:
    """The method that the settings name, for this run's canvas and model and the picture with this seed.

    A canvas that fits one tile, and is not closed on itself, is left to the host: no picture changes for nothing.
    """
    steps = run.denoiser.total_steps or 1
    method = make_method(Request(run.canvas, run.native, run.settings, seed, steps))
    fits_one_tile = len(method.plan(0).tiles) == 1 and not any(run.settings.wraps_per_axis)
    return Direct(run.canvas) if fits_one_tile and not isinstance(method, Redilated) else method


def stop_if_asked() -> None:
    """Between tile batches: obey "Interrupt" and "Skip" as the host does between steps."""
    if shared.state.interrupted or shared.state.skipped:
        raise InterruptedException


def before_evaluation(params: Any, settings_of: SettingsOf) -> None:
    """The host is about to ask its model: see to it that this goes through the tiles.

    A sampler that begins again (`step` is 0) gets a new plan; a wrapper that is new in mid-run, as a refiner's is,
    goes on where the last one stopped. An error stops the sampling when the model is asked.
    """
    denoiser = getattr(params, "denoiser", None)
    if denoiser is None or denoiser.p is None:
        return
    wrapper = denoiser.inner_model
    try:
        settings = settings_of(denoiser.p)
        if settings is None or not settings.enabled:
            return
        _advance(params, wrapper, settings)
    except Exception as error:
        logger.exception("InstantAS: the generation is stopped")
        wrapper.forward = raiser(error)


def _advance(params: Any, wrapper: Any, settings: Settings) -> None:
    denoiser, hooked = params.denoiser, vars(wrapper).get("forward")
    if isinstance(hooked, TiledModel) and denoiser.step > 0:
        hooked.next_evaluation()
    else:
        forward = hooked.original if isinstance(hooked, TiledModel) else wrapper.forward
        hooked = TiledModel(_run_for(params, settings), forward, denoiser.step)
        wrapper.forward = hooked
    hooked.before_evaluation(params)


def _run_for(params: Any, settings: Settings) -> Run:
    p = params.denoiser.p
    canvas = int(params.x.shape[-2]), int(params.x.shape[-1])
    return Run(p, params.denoiser, settings, canvas, native_side(shared.sd_model), _seeds_of(p))


def _seeds_of(p: Any) -> tuple[int, ...]:
    """The seeds of the pictures of the batch."""
    return tuple(int(seed) for seed in getattr(p, "seeds", None) or getattr(p, "all_seeds", None) or [0])


def _without_repetition(methods: list[Method]) -> list[Method]:
    """One method where all pictures have their tiles in the same places, else one for each picture."""
    return methods[:1] if have_equal_plans(methods) else methods


def _begin_report(run: Run, method: Method, evaluation: int) -> PassReport | None:
    report = report_of(run.p)
    if report is None:
        return None
    name = HIRES_PASS if run.is_hires_pass else FIRST_PASS
    if evaluation > 0 and name in report.passes:
        return report.passes[name]
    dilation = method.dilation if isinstance(method, Redilated) else None
    work = PassReport(method.plan(0), run.settings.method, dilation)
    report.begin(name, work)
    return work
