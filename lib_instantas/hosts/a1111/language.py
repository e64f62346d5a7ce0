"""The language of the host's page: what is said in it, and what stays English.

A host's setting names a file of translations, which it merges from all extensions and hands to the page, where whole
texts are replaced. Sentences with values in them are put together here, from the same files. What a program reads stays
English: the API's errors, the metadata of pictures and the log.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from modules import localization, shared

from lib_instantas.errors import SettingsError, told
from lib_instantas.texts.message import Words, said

logger = logging.getLogger(__name__)


def words() -> Words:
    """The translations of the language that the page is set to; empty for English."""
    files = localization.localizations.get(getattr(shared.opts, "localization", "None"), ())
    return _merged(tuple((str(file), _state(Path(file))) for file in files))


def here(text: str) -> str:
    """A text in the page's language."""
    return said(text, words())


def reason(error: Exception) -> str:
    """What an error says, in the page's language."""
    return here(told(error))


def is_asked_by_the_api(p: Any) -> bool:
    """Whether a program has asked for this picture, not somebody at the page."""
    return bool(getattr(p, "is_api", False))


def for_the_asker(p: Any, error: Exception) -> Exception:
    """The error of a generation as it is to be raised: at the page in its language."""
    if is_asked_by_the_api(p) or not isinstance(error, SettingsError):
        return error
    return SettingsError(here(error.message))


def _state(file: Path) -> tuple[int, int]:
    """What changes with a file: it is read once for each."""
    return (file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else (0, 0)


@lru_cache(maxsize=4)
def _merged(files: tuple[tuple[str, tuple[int, int]], ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for file, _ in files:
        try:
            found.update(json.loads(Path(file).read_text("utf-8")))
        except (OSError, ValueError) as error:
            logger.warning("InstantAS: the translations in %s are left out: %s", file, error)
    return {text: other for text, other in found.items() if isinstance(other, str)}
