"""One generation: everything the extension knows of one processing object of the host, and the way back.

For its length the processing object has a class of its own, derived from the host's, whose `init` and `sample` do their
work inside the generation. Every callback finds the generation through that class, and so does a shallow copy, which
therefore samples itself; giving the object its class back undoes all of it. No class of the host is changed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, NoReturn

from modules import processing

from lib_instantas.hosts.a1111.composing import Composition, without_hires_entries
from lib_instantas.hosts.a1111.inversion import inverting
from lib_instantas.hosts.a1111.language import for_the_asker
from lib_instantas.hosts.a1111.parts.seen import SeenThings
from lib_instantas.hosts.a1111.report import Report
from lib_instantas.hosts.a1111.samplers import family
from lib_instantas.hosts.a1111.sizes import exact_size
from lib_instantas.hosts.a1111.upscaling import Upscaling, check_chain
from lib_instantas.hosts.a1111.vae import NAMES, TiledVAE
from lib_instantas.hosts.a1111.wildcards import TravellingPrompts, travelling_prompts
from lib_instantas.infotext import KEY
from lib_instantas.replacing import replaced
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.tiling import Size

if TYPE_CHECKING:
    from lib_instantas.hosts.a1111.sampling import TiledSampling

ATTRIBUTE = "instantas_generation"
"""Of the class that a processing object has meanwhile."""

METHODS = ("init", "sample", "sample_hr_pass")
"""Where the host encodes, samples and decodes."""

PROMPTS = "parse_extra_network_prompts"
"""Where the host reads the prompts of a batch, and which LoRAs they name."""

UNPROCESSABLE = 422


class Generation:
    """The settings, the report, the autoencoder and the sampling of one processing object.

    `sampling` is the pass that is under way, None outside the sampler; `native` the side that the picture was laid out
    for, in latent pixels, None before that. `aligned` says whether its noise was turned towards a reference.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.report = Report(settings)
        self.vae = TiledVAE(settings, self.report)
        self.composition: Composition | None = None
        self.upscaling: Upscaling | None = None
        self.travelling: TravellingPrompts | None = None
        self.native: int | None = None
        self.sampling: TiledSampling | None = None
        self.aligned = False
        self._seen = SeenThings()
        self._depth = 0

    @property
    def seen(self) -> SeenThings | None:
        """What both passes know of the things in the batch; None where there is no background prompt, or one pass."""
        return self._seen if self.composition is not None and self.settings.compose_background else None

    def exact_size(self, p: Any) -> Size | None:
        """(height, width) in image pixels that the finished picture has to have; None where the host's own is right."""
        if self.upscaling is not None:
            return self.upscaling.finished
        return exact_size(p, self.settings) if self.composition is None else self.composition.finished

    def write_report(self, p: Any) -> None:
        """Put what is known now into the metadata of `p`."""
        if self.composition is not None:
            without_hires_entries(p.extra_generation_params)
        in_batch = getattr(p, "batch_index", 0)
        self.report.picture = getattr(p, "iteration", 0) * p.batch_size + in_batch
        if self.travelling is not None:
            self.report.settings = self.travelling.of_picture(self.report.picture)
        if self.seen is not None and (said := self.seen.said(in_batch)):
            self.report.note("background", said)
        self.report.write(p)

    @property
    def acts(self) -> bool:
        """Whether what was made is another picture than without the extension, but for its size."""
        in_stages = self.composition is not None or self.upscaling is not None
        acts = self.settings.region_setup.active or in_stages or self.aligned
        fast_vae = self.settings.vae_mode == "fast" and {*NAMES.values()} & {*self.report.notes, *self.report.lasting}
        return bool(acts or fast_vae) or self.report.in_tiles

    def send_prompts(self, p: Any) -> None:
        """Before the host and its scripts read the prompts: have them read those of the regions too, if need be."""
        self.travelling = travelling_prompts(self.settings)
        if self.travelling is not None:
            self.travelling.depart(p)

    def _receive_prompts(self, p: Any) -> None:
        if self.travelling is None:
            return
        self.travelling.arrive(p)
        if self.travelling.remark:
            self.report.remark = ", ".join(text for text in (self.report.remark, self.travelling.remark) if text)

    def work(self, p: Any, name: str, method: Callable[..., Any]) -> Any:
        """Call one of the host's METHODS of `p` inside the generation; `sample` may answer with finished pictures."""
        if name == "init":
            self.report.begin_anew()
            self._receive_prompts(p)
        if name == "sample":
            self._seen.begin()
        try:
            if name == "init":
                check_chain(p, self.settings)
            with self._at_work(p), self._guided(p, name), self._enlarged(p, name), self._inverted(p, name):
                result = method()
                return self.vae.decoded(result) if name == "sample" and not _is_asked_after_sampling(p) else result
        except SettingsError as error:
            raise to_raise(p, error) from None

    def decoded(self, p: Any, samples: Any) -> Any:
        """The pictures of what `sample` has answered; an error is raised when the host looks at them.

        Raised here, in a script, it would be logged, and the host would decode the latents itself.
        """
        try:
            with self._at_work(p):
                return self.vae.decoded(samples)
        except Exception as error:
            return Failed(to_raise(p, error))

    def _guided(self, p: Any, name: str) -> AbstractContextManager[None]:
        """The second stage has a CFG scale of its own; Forge knows one for hires passes, other hosts do not."""
        scale = self.settings.compose_guidance
        if self.composition is None or name != "sample_hr_pass" or not scale or hasattr(p, "hr_cfg"):
            return nullcontext()
        return replaced(p, "cfg_scale", scale)

    def _enlarged(self, p: Any, name: str) -> AbstractContextManager[None]:
        """While the host encodes the given pictures, they are as large as they are to be."""
        return nullcontext() if self.upscaling is None or name != "init" else self.upscaling.in_place(p)

    def _inverted(self, p: Any, name: str) -> AbstractContextManager[None]:
        """A given picture may begin with noise of its own."""
        return inverting(p, self.settings) if name == "sample" else nullcontext()

    @contextmanager
    def _at_work(self, p: Any) -> Iterator[None]:
        self.write_report(p)
        self._depth += 1
        try:
            with self.vae.hooked():
                yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self.sampling = None
                family().let_go()
            self.write_report(p)


class Failed:
    """Stands for the pictures of latents that could not be decoded."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @property
    def already_decoded(self) -> NoReturn:
        """What the host asks first, with a default that an AttributeError would be taken for."""
        if isinstance(self.error, AttributeError):
            raise RuntimeError(str(self.error)) from self.error
        raise self.error


def _is_asked_after_sampling(p: Any) -> bool:
    """Whether the host hands what `sample` answers to this extension's script, after those that want latents."""
    scripts = getattr(p.scripts, "alwayson_scripts", ())
    return _hands_over_samples() and any(script.title() == KEY for script in scripts)


@cache
def _hands_over_samples() -> bool:
    return ".post_sample(" in inspect.getsource(processing)


def generation_of(p: Any) -> Generation | None:
    """The generation of a processing object, or of the one it is a copy of; None where the extension has no part."""
    return getattr(type(p), ATTRIBUTE, None)


def begin(p: Any, settings: Settings) -> Generation:
    """Let a generation with these settings begin on `p`.

    One that is there with the same settings goes on: other extensions begin the same generation twice, on a copy.
    """
    generation = generation_of(p)
    if generation is None or generation.settings != settings:
        end(p)
        generation = Generation(settings)
        p.__class__ = _class_for(type(p), generation)
    for name in METHODS:
        standing = vars(p).get(name)
        if standing is not None and not isinstance(standing, _Inside):
            setattr(p, name, _Inside(p, generation, name, standing))
    return generation


def end(p: Any) -> None:
    """Give `p` its own class back, and the methods that others had put on it; nothing where no generation is."""
    for name in METHODS:
        standing = vars(p).get(name)
        if isinstance(standing, _Inside):
            setattr(p, name, standing.own)
    generation = generation_of(p)
    if generation is None:
        return
    if generation.composition is not None:
        generation.composition.undo(p)
    if generation.travelling is not None:
        generation.travelling.clear(p)
    p.__class__ = type(p).__base__


def _class_for(kind: type, generation: Generation) -> type:
    methods = {name: _inside(name, getattr(kind, name)) for name in METHODS if hasattr(kind, name)}
    if hasattr(kind, PROMPTS):
        methods[PROMPTS] = _with_loras(getattr(kind, PROMPTS))
    return type(kind.__name__, (kind,), {"__module__": kind.__module__, ATTRIBUTE: generation, **methods})


def _inside(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def inside(p: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(type(p), ATTRIBUTE).work(p, name, lambda: method(p, *args, **kwargs))

    return inside


def _with_loras(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def read(p: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(p, *args, **kwargs)
        composition = getattr(type(p), ATTRIBUTE).composition
        if composition is not None:
            composition.add_loras(p)
        return result

    return read


class _Inside:
    """A method that another extension had put on the one object, as it runs inside the generation."""

    def __init__(self, p: Any, generation: Generation, name: str, own: Callable[..., Any]) -> None:
        self.p, self.generation, self.name, self.own = p, generation, name, own

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.generation.work(self.p, self.name, lambda: self.own(*args, **kwargs))


def raiser(error: Exception) -> Callable[..., NoReturn]:
    """A function that raises `error` whatever it is called with."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise error

    return fail


def stop(p: Any, error: Exception) -> None:
    """Let the sampling of this one processing object raise, so that page and API show the message.

    The host logs what a script raises, and goes on without it. The API answers with the status that the exception
    carries: what a client asked for wrongly is its own error.
    """
    end(p)
    p.sample = raiser(to_raise(p, error))


def to_raise(p: Any, error: Exception) -> Exception:
    """The error for whoever has asked: the page in its language, the API with the status of what cannot be met."""
    error = for_the_asker(p, error)
    if isinstance(error, ValueError):
        error.status_code, error.detail = UNPROCESSABLE, str(error)  # type: ignore[attr-defined]
    return error
