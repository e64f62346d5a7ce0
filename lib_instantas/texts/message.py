"""A sentence with values in it, which can be said again in another language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

Words = Mapping[str, str]
"""Texts and templates in English, and what stands for them in another language."""

OWN = "InstantAS: {}"
"""Under which a single word stands that other parts of a page may use too: ours must not take the place of theirs."""


class Message(str):
    """A template with its values filled in, in English; values that are messages are said in the same language."""

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Message:
        """The template's fields are those of `str.format`, by name."""
        message = super().__new__(cls, template.format(**values))
        message.template, message.values = template, values
        return message


class Template(str):
    """A text of the list; called with its values, a message."""

    def __call__(self, **values: object) -> Message:
        """The text with these values; KeyError if one is missing."""
        return Message(self, **values)


def said(text: str, words: Words) -> str:
    """A text in the language of these words; what they lack, or name other values in, stays in English."""
    if not isinstance(text, Message):
        return _found(text, words)
    values = {name: said(value, words) if isinstance(value, Message) else value for name, value in text.values.items()}
    try:
        return _found(text.template, words).format(**values)
    except (LookupError, ValueError, AttributeError):  # another extension's file may hold anything
        return text.template.format(**values)


def _found(text: str, words: Words) -> str:
    return words.get(OWN.format(text), words.get(text, text))


def joined(parts: Iterable[str], by: Template) -> str:
    """One message of several, those that are not empty, put together `by` the fields `first` and `then`."""
    present = [part for part in parts if part]
    return reduce(lambda first, then: by(first=first, then=then), present) if present else ""
