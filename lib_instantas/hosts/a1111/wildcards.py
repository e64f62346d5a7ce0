"""Wildcards in the prompts of regions, read by whatever extension reads them in the main prompt.

Such extensions (sd-dynamic-prompts and others) replace `p.all_prompts` in their `process`, from what is in it or from
`p.prompt`. So the regions' prompts travel there behind the main one, told apart by a character that no prompt's grammar
knows, and come back before the first of them is encoded: another choice for each picture, and the same where a prompt
names the same variable. What an extension puts before or behind a prompt stays the main prompt's.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from lib_instantas.hosts.a1111.parts.regions import check_region_prompts
from lib_instantas.regions import Region, RegionSetup
from lib_instantas.regions_json import setup_to_text
from lib_instantas.settings import Settings

MARK = "\ue0a5"
"""Of the private use area of Unicode."""

WILDCARD = re.compile(r"[{}]|__")
"""How variants and wildcards are written; prompts without any need not travel."""

LOST = "the regions' wildcards stay as they are: another extension put a prompt of its own in place of the given one"

Texts = tuple[str, ...]


class TravellingPrompts:
    """The regions' prompts of one generation on their way through the host's scripts, and as they came back.

    `pictures` are the settings of each picture, with its own choices in the regions' prompts; empty before `arrive`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pictures: list[Settings] = []
        self.remark = ""
        self._active = settings.region_setup.active

    def depart(self, p: Any) -> None:
        """Let the regions' prompts follow those of the picture; for before the host multiplies and styles them."""
        for name, texts in (("prompt", self._texts("prompt")), ("negative_prompt", self._texts("negative_prompt"))):
            given = getattr(p, name)
            joined = [MARK.join((text, *texts, "")) for text in (given if isinstance(given, list) else [given])]
            setattr(p, name, joined if isinstance(given, list) else joined[0])

    def arrive(self, p: Any) -> None:
        """Take them back, so that `p` has its own again. Raises SettingsError for what a region cannot say."""
        if self.pictures:
            return
        count = len(self._active)
        both = zip(p.all_prompts, p.all_negative_prompts, strict=True)
        self.pictures = [self._chosen(_regions(one, count), _regions(other, count)) for one, other in both]
        self.clear(p)
        for settings in self.pictures:
            check_region_prompts(settings)

    def clear(self, p: Any) -> None:
        """Take everything but the picture's own prompts from whatever text of `p` holds them."""
        for owner in (vars(p), p.extra_generation_params):
            for name, value in list(owner.items()):
                if isinstance(value, str) and MARK in value:
                    owner[name] = _main(value)
                elif isinstance(value, list) and any(isinstance(one, str) and MARK in one for one in value):
                    value[:] = [_main(one) if isinstance(one, str) else one for one in value]

    def of_picture(self, index: int) -> Settings:
        """The settings of the picture with this index in the generation."""
        return self.pictures[index] if index < len(self.pictures) else self.settings

    def of_batch(self, p: Any) -> tuple[RegionSetup, ...]:
        """The regions of each picture of the batch that is being made."""
        first = p.iteration * p.batch_size
        return tuple(settings.region_setup for settings in self.pictures[first : first + p.batch_size])

    def _texts(self, name: str) -> Texts:
        return tuple(getattr(region, name) for region in self._active)

    def _chosen(self, prompts: Texts | None, negatives: Texts | None) -> Settings:
        if prompts is None or negatives is None:
            self.remark = LOST
        prompts, negatives = prompts or self._texts("prompt"), negatives or self._texts("negative_prompt")
        setup, texts = self.settings.region_setup, zip(prompts, negatives, strict=True)
        regions = tuple(_saying(one, *next(texts)) if one.enabled and one.weight > 0 else one for one in setup.regions)
        return self.settings.copy(update={"regions": setup_to_text(replace(setup, regions=regions))})


def travelling_prompts(settings: Settings) -> TravellingPrompts | None:
    """The prompts of these settings' regions, if there is anything in them that another extension might read."""
    regions = settings.region_setup.active
    if any(WILDCARD.search(text) for region in regions for text in (region.prompt, region.negative_prompt)):
        return TravellingPrompts(settings)
    return None


def _main(text: str) -> str:
    """The picture's own prompt, with what was put before and behind the whole."""
    pieces = text.split(MARK)
    return pieces[0] + pieces[-1] if len(pieces) > 1 else text


def _regions(text: str, count: int) -> Texts | None:
    """The prompts of so many regions; None where they have got lost."""
    pieces = text.split(MARK)
    return tuple(pieces[1:-1]) if len(pieces) == count + 2 else None


def _saying(region: Region, prompt: str, negative_prompt: str) -> Region:
    return replace(region, prompt=prompt, negative_prompt=negative_prompt)
