"""Reading the extension's value out of an infotext, without the extension's own code."""

from __future__ import annotations

import json
from typing import Any

from client import Made


def recorded(infotext: str) -> dict[str, Any]:
    """The value under "InstantAS": a quoted JSON string that itself holds JSON."""
    start = infotext.index('InstantAS: "{') + len("InstantAS: ")
    return dict(json.loads(json.JSONDecoder().raw_decode(infotext[start:])[0]))


def done(made: Made) -> str:
    """What the infotext says was done."""
    return str(recorded(made.infotext)["done"])
