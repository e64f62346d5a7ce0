"""What one object has of its own, replaced for a while. Nothing of its class changes, nor of any other object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def replaced(target: object, name: str, value: object) -> Iterator[None]:
    """While open, the object has this attribute of its own; afterwards what it had, which may be none of its own."""
    own = vars(target)
    before = {name: own[name]} if name in own else {}
    own[name] = value
    try:
        yield
    finally:
        own.pop(name, None)
        own.update(before)


@contextmanager
def holding(target: object, values: Mapping[str, object]) -> Iterator[None]:
    """While open, those attributes that the object has of its own hold these values; past any property of its class."""
    own = vars(target)
    before = {name: own[name] for name in values if name in own}
    own.update({name: values[name] for name in before})
    try:
        yield
    finally:
        own.update(before)
