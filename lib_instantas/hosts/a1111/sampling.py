"""One pass of one sampler: the tiles of each picture of the batch, and the parts that take part.

How a host's sampler asks its model is the matter of its family (`samplers`); what it gets for an answer is made here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from modules import shared
from modules.sd_samplers_common import InterruptedException
from torch import Tensor

from lib_instantas.capabilities import Capability
from lib_instantas.denoiser import TiledDenoiser, map_tensors
from lib_instantas.errors import SettingsError
from lib_instantas.hosts.a1111.fidelity import Held, held_to_picture
from lib_instantas.hosts.a1111.generation import Generation, generation_of, to_raise
from lib_instantas.hosts.a1111.inversion import is_inversion
from lib_instantas.hosts.a1111.native import largest_side, native_side
from lib_instantas.hosts.a1111.offers import offer_of_model
from lib_instantas.hosts.a1111.parts import SamplingPass, parts_for
from lib_instantas.hosts.a1111.parts.dilation import DilatedConvolutions
from lib_instantas.hosts.a1111.report import FIRST_PASS, HIRES_PASS, INVERSION, PassReport, Report
from lib_instantas.hosts.a1111.samplers import family
from lib_instantas.methods import Direct, Method, Redilated, make_method, plans_depend_on_seed
from lib_instantas.noise_damping import damped
from lib_instantas.redilation import Redilation
from lib_instantas.settings import Settings
from lib_instantas.sizes import canvas_for
from lib_instantas.texts import messages
from lib_instantas.tiling import LATENT_SCALE, Size
from lib_instantas.told_size import ToldSize

logger = logging.getLogger(__name__)


class TiledSampling:
    """Answers for a canvas of any size in one pass, from the given evaluation on: a refiner begins in the middle.

    Pictures of a batch that have their tiles in different places are evaluated one by one. Answers for a pass that
    begins with a picture may be `held` to it.
    """

    def __init__(self, work: SamplingPass, report: Report, evaluation: int = 0, held: Held | None = None) -> None:
        self.work = work
        self.held = held
        methods = methods_for(work)
        self.method = methods[0]
        check_positions(work, self.method)
        self.parts = parts_for(work)
        self.dilated = next((part for part in self.parts if isinstance(part, DilatedConvolutions)), None)
        self.report = _begin_report(work, self.method, report, evaluation)
        self.report.fidelity = 0.0 if held is None else held.fidelity.strength
        self.denoisers = [self._denoiser(picture, method, evaluation) for picture, method in enumerate(methods)]

    def _denoiser(self, picture: int, method: Method, evaluation: int) -> TiledDenoiser:
        batch = self.work.settings.tile_batch
        denoiser = TiledDenoiser(
            _no_model,
            method,
            tile_batch=batch,
            parts=[part.of_picture(picture) for part in self.parts] if self.work.seen is not None else self.parts,
            before_batch=stop_if_asked,
            tell=ToldSize(self.work.settings.told_size if Capability.SIZES in offer_of_model() else "canvas"),
        )
        denoiser.evaluation = evaluation
        return denoiser

    def next_evaluation(self) -> None:
        """The sampler has gone on to its next evaluation."""
        for denoiser in self.denoisers:
            denoiser.next_evaluation()

    def before_evaluation(self, params: Any) -> None:
        """Count the tiles of the evaluation that begins, and let the parts prepare for it."""
        self.report.count(self.method.plan(self.denoisers[0].evaluation))
        for part in self.parts:
            part.before_evaluation(params)
        if self.dilated is not None and self.dilated.undamped:
            self.report.undamped = self.dilated.undamped

    @property
    def damped_scales(self) -> list[float]:
        """How strongly each picture of the batch is guided, if this evaluation is one with noise-damped guidance."""
        dilated, evaluation = self.dilated, self.denoisers[0].evaluation
        return dilated.scales if dilated is not None and dilated.redilation.damps(evaluation) else []

    def ask_damped(
        self,
        model: Callable[..., Tensor],
        again: Callable[..., Tensor],
        scales: Sequence[float | None],
        pictures: Sequence[int],
        x: Tensor,
        sigma: Tensor,
        **conditioning: Any,
    ) -> Tensor:
        """The same as `ask` for noise-damped guidance (`noise_damping.damped`); `again` answers for rows with a scale.

        ScaleCrafter has one denoiser for all pictures.
        """
        assert self.dilated is not None
        ask, ask_again = partial(self._asked, model, ()), partial(self._asked, again, ())
        answer = damped(ask, self.dilated.redilation, scales, x, sigma, conditioning, ask_again)
        return answer if self.held is None else self.held(x, sigma, answer, pictures)

    def ask(
        self, model: Callable[..., Tensor], pictures: Sequence[int], x: Tensor, sigma: Tensor, **conditioning: Any
    ) -> Tensor:
        """The model's prediction for the whole canvas; `pictures` says whose each row of x [B, C, H, W] is.

        They may be left out where `tells_pictures_apart` is false.
        """
        answer = self._asked(model, pictures, x, sigma, **conditioning)
        return answer if self.held is None else self.held(x, sigma, answer, pictures)

    @property
    def tells_pictures_apart(self) -> bool:
        """Whether the pictures of a batch get answers of their own."""
        return len(self.denoisers) > 1 or self.held is not None

    def _asked(
        self, model: Callable[..., Tensor], pictures: Sequence[int], x: Tensor, sigma: Tensor, **conditioning: Any
    ) -> Tensor:
        for denoiser in self.denoisers:
            denoiser.model = model
        if len(self.denoisers) == 1:
            return self.denoisers[0](x, sigma, **conditioning)
        predictions: dict[int, Tensor] = {}
        for picture in dict.fromkeys(pictures):
            mine = [row for row, owner in enumerate(pictures) if owner == picture]
            pick = _picker(mine, len(x))
            answer = self.denoisers[picture](pick(x), pick(sigma), **map_tensors(pick, conditioning))
            predictions.update(zip(mine, answer, strict=True))
        return torch.stack([predictions[row] for row in range(len(x))])


def before_evaluation(params: Any) -> None:
    """The host's callback: it is about to ask its model. See to it that this goes through the tiles.

    A sampler that begins again (`step` is 0) gets a new plan; a UNet that is new in mid-run, as a refiner's is, goes on
    where the last one stopped. The host logs what a callback raises, and goes on: so an error stops the sampling when
    the model is asked.
    """
    denoiser = getattr(params, "denoiser", None)
    generation = None if denoiser is None or denoiser.p is None else generation_of(denoiser.p)
    if generation is None:
        return
    try:
        generation.sampling = _continued(generation, params)
        family().ask_through(generation.sampling, params)
        generation.sampling.before_evaluation(params)
    except Exception as error:
        logger.exception("InstantAS: the generation is stopped")
        family().fail(params, to_raise(params.denoiser.p, error))


def _continued(generation: Generation, params: Any) -> TiledSampling:
    denoiser, current = params.denoiser, generation.sampling
    work = _pass_of(params, generation)
    if current is not None and denoiser.step > 0 and current.work.is_continued_by(work):
        current.next_evaluation()
        return current
    held = held_to_picture(work, params, family().kept_by_timestep(params))
    return TiledSampling(work, generation.report, denoiser.step, held)


def _pass_of(params: Any, generation: Generation) -> SamplingPass:
    denoiser = params.denoiser
    return SamplingPass(
        p=denoiser.p,
        settings=_unbound(generation.settings) if is_inversion(denoiser.p) else generation.settings,
        canvas=(int(params.x.shape[-2]), int(params.x.shape[-1])),
        native=native_side(shared.sd_model),
        seeds=_seeds_of(denoiser.p),
        steps=denoiser.total_steps or 1,
        per_step=max(1, (denoiser.total_steps or 1) // (denoiser.steps or 1)),
        unet=family().unet,
        setups=() if generation.travelling is None else generation.travelling.of_batch(denoiser.p),
        composes=generation.composition is not None and not getattr(denoiser.p, "is_hr_pass", False),
        seen=generation.seen,
    )


def _unbound(settings: Settings) -> Settings:
    """For a run that ends where layout begins: what is done to the first evaluations is not for its own."""
    return settings.copy(update={"region_binding": 0})


def _seeds_of(p: Any) -> tuple[int, ...]:
    """The seeds of the pictures of the batch."""
    return tuple(int(seed) for seed in getattr(p, "seeds", None) or getattr(p, "all_seeds", None) or [0])


def methods_for(work: SamplingPass) -> list[Method]:
    """One method where all pictures have their tiles in the same places, else one for each picture of the batch.

    One for each, too, where their prompts have different places.
    """
    seeds = work.seeds if work.seen is not None or plans_depend_on_seed(work.settings) else work.seeds[:1]
    return [method_for(work, seed) for seed in seeds]


def method_for(work: SamplingPass, seed: int) -> Method:
    """The method that the settings name, for this pass and the picture with this seed.

    A canvas that fits one tile is left to the host, so that no picture changes for nothing, unless it is to be closed
    on itself and the host does not do that.
    """
    method = make_method(work.request(seed))
    closed_by_tiles = any(work.settings.wraps_per_axis) and not getattr(work.p, "tiling", False)
    fits_one_tile = len(method.plan(0).tiles) == 1 and not closed_by_tiles
    return Direct(work.canvas) if fits_one_tile and not isinstance(method, Redilated) else method


def check_positions(work: SamplingPass, method: Method) -> None:
    """Raises SettingsError if the model would be asked about more than it has positions for (SD 3)."""
    known = largest_side(work.unet)
    if known is None:
        return
    windows = [tile.size for evaluation in (0, work.steps - 1) for tile in method.plan(evaluation).tiles]
    height, width = max(windows, key=max)
    if max(height, width) > known:
        asked = f"{width * LATENT_SCALE}x{height * LATENT_SCALE}"
        raise SettingsError(messages.TILE_TOO_LARGE(known=known * LATENT_SCALE, size=asked))


def check_pass(p: Any, settings: Settings, size: Size) -> None:
    """Raises SettingsError if the loaded model could not be asked about a picture of (height, width) image pixels."""
    work = SamplingPass(p, settings, canvas_for(size), native_side(shared.sd_model), (0,), unet=family().unet)
    method = method_for(work, 0)
    check_positions(work, method)
    if isinstance(method, Redilated):
        Redilation(work.unet, method.dilation)


def _begin_report(work: SamplingPass, method: Method, report: Report, evaluation: int) -> PassReport:
    name = INVERSION if is_inversion(work.p) else HIRES_PASS if work.is_hires_pass else FIRST_PASS
    if evaluation > 0 and name in report.passes:
        return report.passes[name]
    dilation = method.dilation if isinstance(method, Redilated) else None
    done = PassReport(method.plan(0), work.request(0).settings.method, dilation)
    report.begin(name, done)
    return done


def stop_if_asked() -> None:
    """Between tile batches: obey "Interrupt" and "Skip" as the host does between steps."""
    if shared.state.interrupted or shared.state.skipped:
        raise InterruptedException


def _picker(mine: list[int], rows: int) -> Callable[[Tensor], Tensor]:
    return lambda value: value[mine] if value.ndim and value.shape[0] == rows else value


def _no_model(*_: Any, **__: Any) -> Tensor:
    raise AssertionError("asked before there was a model")
