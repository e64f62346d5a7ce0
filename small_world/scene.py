"""What a picture of Small World shows, and the captions that say so.

A `Scene` names a place, a time of day or weather, and at most one thing with at most one colour. The same
scene with the same seed and size is always drawn the same, and `describe` puts it into words in one of a few
ways. `parse` reads a caption back, also one that a person wrote.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PLACES = ("meadow", "mountains", "desert", "sea", "forest", "city", "harbour", "snow")
TIMES = ("day", "sunset", "night", "fog")
THINGS = ("house", "tree", "boat", "lighthouse", "windmill", "balloon", "sun", "moon")
COLOURS = ("red", "blue", "yellow", "green", "white")

SKY_THINGS = ("balloon", "sun", "moon")
COLOURLESS = ("sun", "moon")
TIMES_OF_THING = {"sun": ("day", "sunset", "fog"), "moon": ("night", "sunset", "day")}

_PLACE_WORDS = {
    "meadow": ("a meadow",),
    "mountains": ("mountains", "the mountains"),
    "desert": ("a desert", "the desert"),
    "sea": ("the sea", "the open sea"),
    "forest": ("a forest", "the forest"),
    "city": ("a city", "the city"),
    "harbour": ("a harbour", "the harbour"),
    "snow": ("a snowy plain", "snow"),
}
_TIME_WORDS = {
    "day": ("by day", "at noon", "on a sunny day"),
    "sunset": ("at sunset", "at sunset", "at dusk"),
    "night": ("at night", "by night"),
    "fog": ("in the fog", "in fog", "on a foggy day"),
}
_OPENINGS = ("", "", "", "a picture of ", "a painting of ")


@dataclass(frozen=True)
class Scene:
    """What is drawn: a place and a time, perhaps one thing, perhaps its colour, and the seed of all details."""

    place: str
    time: str
    thing: str | None = None
    colour: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check("place", self.place, PLACES)
        _check("time", self.time, TIMES)
        if self.thing is not None:
            _check("thing", self.thing, THINGS)
            _check(f"time of a {self.thing}", self.time, TIMES_OF_THING.get(self.thing, TIMES))
        if self.colour is not None:
            _check("colour", self.colour, COLOURS)


def _check(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"Small World: {name} must be one of {', '.join(allowed)}, got {value}")


def random_scene(seed: int, bare: float = 0.12) -> Scene:
    """Return the scene of a seed: every place, time and thing equally often, a share `bare` without a thing."""
    rng = random.Random(seed)
    place, time = rng.choice(PLACES), rng.choice(TIMES)
    if rng.random() < bare:
        return Scene(place, time, seed=seed)
    thing = rng.choice([name for name in THINGS if time in TIMES_OF_THING.get(name, TIMES)])
    coloured = thing not in COLOURLESS and rng.random() < 0.7
    return Scene(place, time, thing, rng.choice(COLOURS) if coloured else None, seed)


def describe(scene: Scene, wording: int | None = None) -> str:
    """Return a caption of the scene: the plain one, or one of many as the number `wording` chooses."""
    rng = random.Random(wording)
    plain = wording is None
    pick: Callable[[Sequence[str]], str] = (lambda options: options[0]) if plain else rng.choice
    opening, place, time = pick(_OPENINGS), pick(_PLACE_WORDS[scene.place]), pick(_TIME_WORDS[scene.time])
    if scene.thing is None:
        return f"{opening}{place} {time}"
    thing = f"{scene.colour} {scene.thing}" if scene.colour else scene.thing
    if not plain and rng.random() < 0.2:
        return f"{scene.place}, {scene.time}, {thing}"
    return f"{opening}{place} {time} with a {thing}"


_SYNONYMS = {
    "harbor": "harbour",
    "port": "harbour",
    "mountain": "mountains",
    "ocean": "sea",
    "snowy": "snow",
    "winter": "snow",
    "field": "meadow",
    "dunes": "desert",
    "woods": "forest",
    "town": "city",
    "dusk": "sunset",
    "foggy": "fog",
    "mist": "fog",
    "misty": "fog",
    "noon": "day",
    "ship": "boat",
}


def parse(caption: str, seed: int = 0) -> Scene:
    """Return the scene that a caption asks for; the time is day if none is named.

    Raises ValueError if the caption names no place that Small World knows.
    """
    words = [_SYNONYMS.get(word, word) for word in re.findall(r"[a-z]+", caption.lower())]
    named = [word for word in words if word != "day" or "fog" not in words]

    def first(options: Sequence[str]) -> str | None:
        return next((word for word in named if word in options), None)

    place = first(PLACES)
    if place is None:
        raise ValueError(f"Small World: the caption must name one of {', '.join(PLACES)}, got {caption!r}")
    return Scene(place, first(TIMES) or "day", first(THINGS), first(COLOURS), seed)


def vocabulary() -> list[str]:
    """Return every word that a caption can hold, sorted."""
    phrases = [*PLACES, *TIMES, *THINGS, *COLOURS, *_OPENINGS, "with"]
    phrases += [text for table in (_PLACE_WORDS, _TIME_WORDS) for options in table.values() for text in options]
    return sorted({word for phrase in phrases for word in phrase.split()})
