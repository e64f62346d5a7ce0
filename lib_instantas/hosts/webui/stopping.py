"""Turning an error into a stopped generation. The host logs exceptions of scripts and goes on without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

UNPROCESSABLE = 422


def raiser(error: Exception) -> Callable[..., NoReturn]:
    """A function that raises `error` whatever it is called with."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise error

    return fail


def stop_generation(p: Any, error: Exception) -> None:
    """Let the sampling of this one processing object raise, so that page and API show the message.

    The API answers with the status that the exception carries: what a client asked for wrongly is its own error.
    """
    if isinstance(error, ValueError):
        error.status_code, error.detail = UNPROCESSABLE, str(error)  # type: ignore[attr-defined]
    p.sample = raiser(error)
