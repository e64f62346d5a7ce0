"""A background prompt in the WebUI: the first pass is watched for where the thing of each picture is.

The hires pass then has the whole prompt there alone (`parts.regions`). To watch changes nothing of the first pass.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from modules import extra_networks, prompt_parser, shared
from torch import nn

from lib_instantas.background import NO_THINGS, thing_positions
from lib_instantas.denoiser import Part
from lib_instantas.hosts.a1111.parts import HostPart, SamplingPass
from lib_instantas.hosts.a1111.parts.conditions import PREPARE_CONTEXT, Unmarked, schedule_steps, tokens_of
from lib_instantas.hosts.a1111.parts.regions import AND, check_part_prompt
from lib_instantas.settings import Settings, SettingsError
from lib_instantas.texts import messages
from lib_instantas.word_maps import SETTLED, Positions, WordWatcher

WILDCARD_MARKS = ("{", "}", "__")

TOKENIZERS = ("cond_stage_model", "text_processing_engine", "text_processing_engine_l", "text_processing_engine_g")
"""Where hosts keep what makes tokens of a prompt; SDXL's `conditioner` has several, which agree on their number."""


def check_background(settings: Settings) -> None:
    """Refuse what a background prompt cannot say. Raises SettingsError."""
    background = settings.compose_background if settings.compose else ""
    check_part_prompt("compose_background", background)
    if any(mark in background for mark in WILDCARD_MARKS):
        raise SettingsError(messages.WILDCARDS_IN_BACKGROUND(value=repr(background)))


def watched_words(work: SamplingPass) -> HostPart | None:
    """The part for the first of two passes with a background prompt."""
    return WatchedWords(work) if work.composes and work.seen is not None else None


class WatchedWords(HostPart):
    """Watches, for each picture of the batch, the words of its prompt that the background has not."""

    def __init__(self, work: SamplingPass) -> None:
        self._schedules = [_positions(work, prompt) for prompt in work.p.prompts]
        if not all(any(positions for _, positions in schedule) for schedule in self._schedules):
            raise SettingsError(messages.NOTHING_BUT_BACKGROUND(value=repr(work.settings.compose_background)))
        assert work.seen is not None
        first = round(SETTLED * work.steps)
        self._watchers = [
            WordWatcher([work.unet], maps, first, PREPARE_CONTEXT) for maps in work.seen.maps(len(work.seeds))
        ]
        self._unmarked = Unmarked()

    def before_evaluation(self, params: Any) -> None:
        """Find out which tokens to watch now."""
        step, prompts = params.denoiser.step, self._unmarked(tokens_of(params.text_cond))
        for picture, watcher in enumerate(self._watchers):
            watcher.watch(prompts[picture : picture + 1], _at_step(self._schedules[picture], step))

    def of_picture(self, index: int) -> Part:
        """The watcher of one picture of the batch."""
        return self._watchers[index]


Schedule = list[tuple[int, Positions]]
"""Until which step which tokens are the thing's."""


def _positions(work: SamplingPass, prompt: str) -> Schedule:
    """The thing's tokens of a picture's prompt, which may change from step to step. Raises SettingsError for AND."""
    styled = shared.prompt_styles.apply_styles_to_prompt(work.settings.compose_background, work.p.styles or [])
    background = [token for _, text in _texts(work, styled) for token in _tokens(text)]
    no_things = [tokens[0] for tokens in _tokenizer().tokenize(list(NO_THINGS)) if len(tokens) == 1]
    return [(end, thing_positions(_tokens(text), background, no_things)) for end, text in _texts(work, prompt)]


def _at_step(schedule: Schedule, step: int) -> Positions:
    """As the host chooses among its own schedules."""
    return next((positions for end, positions in schedule if step <= end), schedule[0][1])


def _texts(work: SamplingPass, prompt: str) -> list[tuple[int, str]]:
    """Until which step a prompt is which text, as the host reads it."""
    if AND.search(prompt):
        raise SettingsError(messages.BACKGROUND_AND_AND())
    text, _ = extra_networks.parse_prompt(prompt)
    (alone,) = prompt_parser.get_multicond_prompt_list([text])[1]
    steps, hires_steps = schedule_steps(work)
    (schedule,) = prompt_parser.get_learned_conditioning_prompt_schedules(
        [alone], steps, hires_steps, shared.opts.use_old_scheduling
    )
    return [(int(end), str(at_step)) for end, at_step in schedule]


def _tokens(text: str) -> list[Hashable]:
    """What stands at each place of a text's conditioning: numbers of tokens, and names where an embedding stands."""
    chunks, _ = _tokenizer().tokenize_line(text)
    return [token for chunk in chunks for token in _of_chunk(chunk)]


def _of_chunk(chunk: Any) -> Sequence[Hashable]:
    tokens: list[Hashable] = list(chunk.tokens)
    for offset, embedding in chunk.fixes:
        first = offset + 1  # behind the token that begins a chunk
        tokens[first : first + int(embedding.vectors)] = [embedding.name] * int(embedding.vectors)
    return tokens


def _tokenizer() -> Any:
    return next(one for one in _candidates(shared.sd_model) if hasattr(one, "tokenize_line"))


def _candidates(model: Any) -> Iterator[Any]:
    yield from (getattr(model, name, None) for name in TOKENIZERS)
    conditioner = getattr(model, "conditioner", None)
    if isinstance(conditioner, nn.Module):
        yield from conditioner.modules()
