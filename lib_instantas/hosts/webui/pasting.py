"""From a pasted infotext back into the panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib_instantas.infotext import KEY, from_text


@dataclass(frozen=True)
class FromInfotext:
    """The value of one setting in the parsed infotext. Pictures made without the extension switch it off.

    Equal for both tabs, by which the host knows which component of one tab goes into which of the other.
    """

    name: str

    def __call__(self, params: Mapping[str, Any]) -> Any:
        """The value to put into the component; None leaves it as it is."""
        if KEY not in params:
            return False if self.name == "enabled" else None
        return getattr(from_text(params[KEY]), self.name)
