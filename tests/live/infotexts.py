"""Reading the extension's value out of an infotext, without the extension's own code."""

from __future__ import annotations

import json
import re
from typing import Any

from client import Made


def recorded(infotext: str) -> dict[str, Any]:
    """The value under "InstantAS" in parts: its version, the settings that it names, and what was done.

    A quoted text such as "v6 tile=128, fit=fitted: 6 tiles". Values are words, or JSON.
    """
    start = infotext.index('InstantAS: "v') + len("InstantAS: ")
    version, rest = re.match(r"v(\d+)(.*)", json.JSONDecoder().raw_decode(infotext[start:])[0], re.DOTALL).groups()
    settings: dict[str, Any] = {"enabled": True}
    while setting := re.match(r",? (\w+)=([A-Za-z][\w./+-]*)?", rest):
        rest, value = rest[setting.end() :], setting[2]
        if value in (None, "true", "false"):
            text = (value or "") + rest
            value, end = json.JSONDecoder().raw_decode(text)
            rest = text[end:]
        settings[setting[1]] = value
    return {"version": int(version), "settings": settings, "done": rest.removeprefix(": ")}


def done(made: Made) -> str:
    """What the infotext says was done."""
    return str(recorded(made.infotext)["done"])
