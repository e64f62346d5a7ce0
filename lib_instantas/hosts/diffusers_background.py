"""The prompts of each stage of a picture that is composed first: with a background prompt they are not the same."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lib_instantas.background import NO_THINGS, Background, found_in_words, thing_positions, thing_share
from lib_instantas.hosts.diffusers_regions import Prompts, encoder, prompts_for
from lib_instantas.hosts.jobs import Job, Stage
from lib_instantas.regions import RegionSetup
from lib_instantas.settings import SettingsError
from lib_instantas.texts import messages
from lib_instantas.word_maps import SETTLED, Positions, WordMaps, WordWatcher


class StagePrompts:
    """A job's prompts, stage by stage, and what the UNet's calls need for them.

    With a background prompt the UNet is watched while it composes, and in the stage after that the whole prompt stands
    only where its thing was seen.
    """

    def __init__(self, pipeline: Any, job: Job) -> None:
        self.pipeline = pipeline
        self.job = job
        self.maps = WordMaps()
        self._about: list[str] = []

    @property
    def about(self) -> list[str]:
        """In words where the background stands, once that is known; empty where there is none."""
        return self._about

    def of(self, stage: Stage, follows: bool) -> Prompts:
        """Those of a stage, which follows on another one or is the first."""
        if not self.job.composes or not self.job.settings.compose_background:
            return self._main
        if stage.composes:
            return Prompts(self._main.arguments, (*self._main.parts, self._watcher(stage)))
        return self._over_background if follows else self._main

    @cached_property
    def _main(self) -> Prompts:
        return self._prompts(self.job.settings.region_binding, None)

    @cached_property
    def _over_background(self) -> Prompts:
        thing = thing_share(self.maps.read())
        self._about.append(f"background {found_in_words(thing)}")
        background = None if thing is None else Background(self.job.settings.compose_background, thing)
        return self._prompts(0, background)

    def _prompts(self, binding: int, background: Background | None) -> Prompts:
        job, settings = self.job, self.job.settings
        setup, closed = settings.region_setup if settings.enabled else RegionSetup(), settings.wraps_per_axis
        return prompts_for(self.pipeline, setup, job.prompt, job.negative_prompt, closed, binding, background)

    def _watcher(self, stage: Stage) -> WordWatcher:
        watcher = WordWatcher([self.pipeline.unet], self.maps, round(SETTLED * stage.evaluations))
        positive, *_ = encoder(self.pipeline)(self.job.prompt, self.job.negative_prompt)
        watcher.watch(positive, positions_of_thing(self.pipeline, self.job))
        return watcher


def positions_of_thing(pipeline: Any, job: Job) -> Positions:
    """Which tokens of a job's prompt its background has not. Raises SettingsError where there is none."""
    tokenizer, background = pipeline.tokenizer or pipeline.tokenizer_2, job.settings.compose_background

    def tokens(text: str, **options: Any) -> list[int]:
        return list(tokenizer(text, truncation=True, max_length=tokenizer.model_max_length, **options).input_ids)

    words = [tokens(word, add_special_tokens=False) for word in NO_THINGS]
    no_things = [word[0] for word in words if len(word) == 1]
    if positions := thing_positions(tokens(job.prompt), tokens(background), no_things):
        return positions
    raise SettingsError(messages.NOTHING_BUT_BACKGROUND(value=repr(background)))
